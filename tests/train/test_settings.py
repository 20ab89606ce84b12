import re
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import pytest

from doctored.apps.train_cli import _settings
from doctored.core.errors import ConfigError
from doctored.core.forgery import TECHNIQUES
from doctored.synth.histories import DOMAIN_SHARES
from doctored.train.settings import (
    FinetuneSettings,
    ImcSettings,
    LoopSettings,
    MantranetSettings,
    RcnnImcSettings,
    RcnnSettings,
    RcnnStage1Settings,
)

PAGE = Path(__file__).parents[2] / "docs" / "training.md"


@pytest.mark.parametrize(
    "kind", [ImcSettings, MantranetSettings, FinetuneSettings, RcnnImcSettings, RcnnSettings]
)
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
        ("extractor", "low_rate"),
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


def test_domains_of_forgeries_are_checked_by_name():
    assert MantranetSettings(domains=("chain", "web")).domains == ("chain", "web")
    with pytest.raises(ConfigError, match=r"domains is .+newspaper.+ choose some of web, lossless, chain"):
        MantranetSettings(domains=("newspaper",))


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


def _as_on_the_page(value):
    if value in (TECHNIQUES, tuple(DOMAIN_SHARES)):
        return "all"
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value) or "none"
    return str(value)


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("`train imc`", ImcSettings),
        ("`train mantranet`", MantranetSettings),
        ("`train constrained-rcnn`", RcnnSettings),
        ("`train finetune`", FinetuneSettings),
    ],
)
def test_the_page_on_training_lists_every_setting_with_both_presets(heading, kind):
    """Settings of the loop are in the section of `train imc`, the others where their defaults differ from there."""
    rows = rows_of(heading)
    inherited = {entry.name for entry in fields(LoopSettings)}
    for entry in fields(kind):
        values = [getattr(preset, entry.name) for preset in (kind.paper(), kind.cpu())]
        presets = [_as_on_the_page(value) for value in values]
        if entry.name in rows:
            assert rows[entry.name] == presets, entry.name
        else:
            assert entry.name in inherited, f"{entry.name} is missing"
            assert presets == rows_of("`train imc`")[entry.name], (
                f"{entry.name} differs from that of train imc"
            )
    assert rows.keys() <= {entry.name for entry in fields(kind)}


def test_pre_training_for_constrained_rcnn_differs_from_that_of_mantranet_as_the_page_says():
    rows = rows_of("`train imc`").keys()
    section = PAGE.read_text("utf-8").split("#### For Constrained R-CNN\n")[1].split("\n#")[0]
    told = re.findall(r"^\| `(\w+)` \| (\S+) \| (\S+) \|", section, re.MULTILINE)
    own = {name: [paper, cpu] for name, paper, cpu in told}
    assert own.keys() <= rows
    for entry in fields(RcnnImcSettings):
        presets = [
            _as_on_the_page(getattr(preset, entry.name))
            for preset in (RcnnImcSettings.paper(), RcnnImcSettings.cpu())
        ]
        of_mantranet = [
            _as_on_the_page(getattr(preset, entry.name))
            for preset in (ImcSettings.paper(), ImcSettings.cpu())
        ]
        assert presets == own.get(entry.name, of_mantranet), entry.name


@pytest.mark.parametrize(
    ("data", "steps", "rate_drops"),
    [
        ("casia2", 110_000, (40_000, 90_000)),
        ("nist16", 60_000, (30_000, 50_000)),
        ("coverage", 4_000, ()),
    ],
)
def test_the_page_on_training_has_the_published_schedule_of_each_set(data, steps, rate_drops):
    (line,) = re.findall(rf"^doctored train constrained-rcnn data/{data} .*$", PAGE.read_text("utf-8"), re.M)
    words = line.split()
    options = dict(pairwise(words))
    assignments = [after for word, after in pairwise(words) if word == "--set"]
    given = int(options["--steps"]) if "--steps" in options else None
    chosen = _settings(RcnnSettings, options.get("--preset", "paper"), given, None, assignments)
    assert options["--stage"] == "full"
    assert (chosen.steps, chosen.rate_drops) == (steps, rate_drops)
    assert (chosen.optimizer, chosen.learning_rate, chosen.momentum) == ("sgd", 1e-3, 0.9)
    assert chosen.batch_size == 1


def test_the_released_codes_stage_1_is_asked_half_as_much():
    stage_1, both = RcnnStage1Settings.paper(), RcnnSettings.paper()
    assert (stage_1.rpn_batch, stage_1.roi_batch, stage_1.noise_share) == (128, 128, 0)
    assert (both.rpn_batch, both.roi_batch, both.noise_share) == (256, 256, 0.5)
    assert (both.steps, both.rate_drops) == (110_000, (40_000, 90_000))
    for changes, words in (
        ({"noise": "none"}, "'whole' or 'boxes'"),
        ({"jpeg_share": 1.5}, "jpeg_share"),
        ({"optimizer": "adam"}, "'adamw' or 'sgd'"),
    ):
        with pytest.raises(ConfigError, match=words):
            RcnnSettings(**changes)
