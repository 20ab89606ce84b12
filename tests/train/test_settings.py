import pytest

from doctored.core.errors import ConfigError
from doctored.train.settings import ImcSettings, MantranetSettings


@pytest.mark.parametrize("kind", [ImcSettings, MantranetSettings])
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
        ("ema_decay", 1.0),
        ("final_rate_share", 1.5),
        ("precision", "fp8"),
        ("regions", 3),
        ("crop_px", 300),
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
