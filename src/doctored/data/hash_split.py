"""Splits that anybody gets again who has the names."""

import math
from collections.abc import Sequence

from doctored.core.errors import ConfigError
from doctored.core.name_digest import name_digest


def split_pictures(picture_ids: Sequence[str], test_share: float = 0.1) -> dict[str, str]:
    """Give every picture to one side, "train" or "test", the same one every time.

    The names are ranked by their SHA-256, and the first test_share of them, rounded up, are for testing. So neither
    the order of a directory nor a generator of random numbers has a say, and a missing picture moves few others.

    Args:
        picture_ids: Of all pictures; any text that names each of them for good.
        test_share: Share for testing, above 0 and below 1.

    Raises:
        ConfigError: The share is out of range.

    Example:
        >>> split_pictures(["a", "b", "c", "d"], 0.25)
        {'d': 'test', 'c': 'train', 'b': 'train', 'a': 'train'}
    """
    if not 0 < test_share < 1:
        raise ConfigError(f"test_share must lie between 0 and 1, got {test_share}")
    shuffled = sorted(picture_ids, key=name_digest)
    test = math.ceil(test_share * len(shuffled))
    return {name: "test" if rank < test else "train" for rank, name in enumerate(shuffled)}
