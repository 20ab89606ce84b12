import numpy as np
import pytest

from doctored.core.errors import ConfigError, DataError
from doctored.core.forgery import Source
from doctored.data.forgery_stream import ForgeryStream
from doctored.synth.forge import rebuild


def photos(count, size_hw=(96, 120)):
    rng = np.random.default_rng(0)
    return [
        Source(f"{number}", f"{number}", rng.integers(60, 180, (*size_hw, 3), np.uint8), group=f"{number}")
        for number in range(count)
    ]


def test_a_sample_depends_on_seed_and_number_alone():
    stream, again = ForgeryStream(photos(4), 64, seed=1), ForgeryStream(photos(4), 64, seed=1)
    first = [stream[number].image for number in range(5)]
    np.testing.assert_array_equal(first[3], again[3].image)
    assert not np.array_equal(
        first, [ForgeryStream(photos(4), 64, seed=2)[number].image for number in range(5)]
    )
    assert not np.array_equal(first[0], first[1])


def test_a_recipe_is_that_of_the_sample():
    photographs = photos(4)
    stream = ForgeryStream(photographs, 64, seed=1)
    for number in range(6):
        forgery = rebuild(stream.recipe(number), {source.file: source for source in photographs})
        np.testing.assert_array_equal(forgery.image, stream[number].image)


def test_kinds_and_domains_come_by_their_shares():
    stream = ForgeryStream(
        photos(4), 64, shares={"authentic": 3, "removal": 1}, domain_shares={"web": 1, "chain": 1}
    )
    recipes = [stream.recipe(number) for number in range(160)]
    techniques = [recipe.technique for recipe in recipes]
    assert set(techniques) == {"authentic", "removal"}
    assert techniques.count("authentic") / 160 == pytest.approx(0.75, abs=0.12)
    domains = [recipe.domain for recipe in recipes]
    assert set(domains) == {"web", "chain"}
    assert domains.count("web") / 160 == pytest.approx(0.5, abs=0.15)


def test_the_default_is_a_fifth_to_a_quarter_authentic():
    stream = ForgeryStream(photos(4), 64)
    techniques = [stream.recipe(number).technique for number in range(300)]
    assert set(techniques) == {"authentic", "splicing", "copy_move", "removal", "enhancement"}
    assert 0.15 < techniques.count("authentic") / 300 < 0.3


def test_what_is_pasted_comes_from_another_group():
    photographs = [Source(f"{n}", "", photos(1)[0].pixels, group="ab"[n % 2]) for n in range(8)]
    stream = ForgeryStream(photographs, 64)
    for number in range(30):
        recipe = stream.recipe(number)
        assert int(recipe.host.file) % 2 != int(recipe.donor.file) % 2


def test_small_photographs_are_left_out_and_listed():
    stream = ForgeryStream([photos(1, (79, 200))[0], *photos(2), photos(1, (200, 30))[0]], 64)
    assert stream.too_small == [0, 3]
    assert stream[0].image.shape == (64, 64, 3)
    with pytest.raises(DataError, match="1 of 2 are"):
        ForgeryStream([*photos(1), *photos(1, (20, 20))], 64)


def test_wrong_shares_are_named():
    with pytest.raises(ConfigError, match="cloning"):
        ForgeryStream(photos(2), 64, shares={"cloning": 1})
    with pytest.raises(ConfigError, match="positive"):
        ForgeryStream(photos(2), 64, shares={"splicing": 0})
    with pytest.raises(ConfigError, match="positive"):
        ForgeryStream(photos(2), 64, shares={"splicing": 2, "removal": -1})
    with pytest.raises(ConfigError, match="screen"):
        ForgeryStream(photos(2), 64, domain_shares={"screen": 1})
