import re
from dataclasses import fields
from pathlib import Path

import pytest

from doctored.core.errors import ConfigError
from doctored.core.forgery import TECHNIQUES
from doctored.train.settings import FinetuneSettings, ImcSettings, LoopSettings, MantranetSettings

PAGE = Path(__file__).parents[2] / "docs" / "training.md"


@pytest.mark.parametrize("kind", [ImcSettings, MantranetSettings, FinetuneSettings])
def test_settings_survive_being_saved(kind):
    settings = kind.cpu()
    assert kind.from_json(settings.to_json()) == settings


def test_an_unknown_key_is_named():
    with pytest.raises(ConfigError, match="learning_rte"):
        ImcSettings.from_json({"learning_rte": 1e-4})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("learning_rate", -1e-4),
        ("workers", -1),
        ("held_out_crops", -1),
        ("ema_decay", 1.0),
        ("final_rate_share", 1.5),
        ("precision", "fp8"),
        ("regions", 3),
        ("crop_px", 300),
        ("balance", "labels"),
    ],
)
def test_a_senseless_value_is_refused_by_name(field, value):
    with pytest.raises(ConfigError, match=field):
        ImcSettings(**{field: value})


def test_an_unknown_extractor_mode_is_refused():
    with pytest.raises(ConfigError, match="thawed"):
        MantranetSettings(extractor="thawed")


def test_the_paper_presets_follow_the_published_recipe():
    for settings in (ImcSettings.paper(), MantranetSettings.paper()):
        assert settings.learning_rate == 1e-4
        assert settings.batch_size == 32
    assert MantranetSettings.paper().crop_px == 224


def test_kinds_of_forgery_are_checked_by_name():
    assert MantranetSettings(kinds=("splicing",)).kinds == ("splicing",)
    with pytest.raises(ConfigError, match="montage"):
        MantranetSettings(kinds=("montage",))
    with pytest.raises(ConfigError, match="kinds"):
        MantranetSettings(kinds=())


def test_settings_of_an_earlier_version_get_the_defaults_of_what_they_lack():
    saved = MantranetSettings.cpu().to_json()
    del saved["curriculum"], saved["curriculum_steps"]
    assert MantranetSettings.from_json(saved) == MantranetSettings.cpu()
    saved = ImcSettings.cpu().to_json()
    del saved["balance"]
    assert ImcSettings.from_json(saved) == ImcSettings.cpu()


@pytest.mark.parametrize("kind", [FinetuneSettings, MantranetSettings])
def test_crops_without_surroundings_are_refused(kind):
    with pytest.raises(ConfigError, match="64 or more"):
        kind(crop_px=48)


def rows_of(heading):
    section = PAGE.read_text("utf-8").split(f"### {heading}\n")[1].split("\n#")[0]
    return {
        name: values
        for name, *values in re.findall(r"^\| `(\w+)` \| (\S+) \| (\S+) \|", section, re.MULTILINE)
    }


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("`train imc`", ImcSettings),
        ("`train mantranet`", MantranetSettings),
        ("`train finetune`", FinetuneSettings),
    ],
)
def test_the_page_on_training_lists_every_setting_with_both_presets(heading, kind):
    """Settings of the loop are in the section of `train imc`, the others where their defaults differ from there."""
    rows = rows_of(heading)
    inherited = {entry.name for entry in fields(LoopSettings)}
    for entry in fields(kind):
        values = [getattr(preset, entry.name) for preset in (kind.paper(), kind.cpu())]
        presets = ["all" if value == TECHNIQUES else str(value) for value in values]
        if entry.name in rows:
            assert rows[entry.name] == presets, entry.name
        else:
            assert entry.name in inherited, f"{entry.name} is missing"
            assert presets == rows_of("`train imc`")[entry.name], (
                f"{entry.name} differs from that of train imc"
            )
    assert rows.keys() <= {entry.name for entry in fields(kind)}
