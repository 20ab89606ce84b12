import hashlib

import pytest

from doctored.core.errors import ConfigError
from doctored.data.hash_split import split_pictures

NAMES = [f"p{number}" for number in range(60)]


def test_a_tenth_of_the_pictures_is_for_testing_the_same_ones_in_any_order():
    split = split_pictures(NAMES)
    assert sorted(split) == sorted(NAMES)
    assert sum(side == "test" for side in split.values()) == 6
    assert split_pictures(NAMES[::-1]) == split
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in NAMES}
    border = sorted(digests.values())[6]
    assert all((split[name] == "test") == (digests[name] < border) for name in NAMES)


def test_a_missing_picture_moves_at_most_one_other():
    split, without = split_pictures(NAMES, 0.25), split_pictures(NAMES[1:], 0.25)
    assert sum(split[name] != without[name] for name in NAMES[1:]) <= 1


@pytest.mark.parametrize("share", [0, 1, -0.1])
def test_shares_out_of_range_are_refused(share):
    with pytest.raises(ConfigError, match=f"between 0 and 1, got {share}"):
        split_pictures(NAMES, share)
