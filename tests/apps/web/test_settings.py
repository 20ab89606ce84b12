import pytest

from doctored.apps.web.settings import ServeSettings
from doctored.core.errors import ConfigError

TOKEN = "a-token-of-25-characters."


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"host": "example.com"}, "--host must be an IP address or localhost; got 'example.com'"),
        ({"port": 70_000}, "--port must be 0 to 65535; got 70000"),
        ({"queue": 0}, "--queue must be 1 or more; got 0"),
        ({"token": "short"}, "a token must have 16 characters or more"),
        ({"token": "sixteen letters\n"}, "printable ASCII"),
        ({"host": "0.0.0.0"}, "others can reach 0.0.0.0, so a token is needed"),
        ({"host": "192.0.2.7"}, "others can reach 192.0.2.7, so a token is needed"),
        ({"host": "::"}, "others can reach ::, so a token is needed"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(settings, sentence):
    with pytest.raises(ConfigError) as caught:
        ServeSettings(**settings)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_a_server_for_this_machine_needs_no_token(host):
    assert ServeSettings(host=host).is_local


def test_a_server_for_others_starts_with_a_token():
    assert not ServeSettings(host="0.0.0.0", token=TOKEN).is_local


@pytest.mark.parametrize(
    ("name", "known_here", "known_to_others"),
    [
        ("localhost", True, True),
        ("127.0.0.1", True, True),
        ("::1", True, True),
        ("192.0.2.7", False, True),  # an address cannot be made to lead elsewhere, a name can
        ("Forensics.Example", True, True),
        ("attacker.example", False, False),
        ("localhost.attacker.example", False, False),
        ("", False, False),
    ],
)
def test_names_that_a_server_answers_to(name, known_here, known_to_others):
    allowed = ("forensics.example",)
    assert ServeSettings(allowed_hosts=allowed).is_own_name(name) is known_here
    others = ServeSettings(host="0.0.0.0", token=TOKEN, allowed_hosts=allowed)
    assert others.is_own_name(name) is known_to_others
