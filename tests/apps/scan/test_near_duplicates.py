import numpy as np

from doctored.apps.scan.near_duplicates import MOST_BITS, near_duplicates


def flipped(value, bits):
    for bit in bits:
        value ^= 1 << bit
    return value


def as_signed(values):
    return np.array([value - 2**64 if value >= 2**63 else value for value in values], np.int64)


def slow_groups(values):
    """Every pair compared; groups joined until nothing changes."""
    groups = [{number} for number in range(len(values))]
    for first in range(len(values)):
        for second in range(first):
            if (values[first] ^ values[second]).bit_count() <= MOST_BITS:
                a = next(group for group in groups if first in group)
                b = next(group for group in groups if second in group)
                if a is not b:
                    a |= b
                    groups.remove(b)
    return sorted(
        (sorted(group) for group in groups if len(group) > 1), key=lambda group: (-len(group), group)
    )


def test_groups_are_those_of_comparing_every_pair():
    rng = np.random.default_rng(0)
    values = [int(value) for value in rng.integers(0, 2**64, 300, dtype=np.uint64)]
    for number in range(0, 120, 4):
        bits = rng.choice(64, int(rng.integers(0, 6)), replace=False)
        values.append(flipped(values[number], [int(bit) for bit in bits]))
    values.append(flipped(values[-1], [3]))
    found = near_duplicates(as_signed(values))
    assert found == slow_groups(values)
    assert len(found) > 10


def test_flat_pictures_are_no_group():
    assert near_duplicates(np.zeros(5, np.int64)) == []
    assert near_duplicates(np.full(5, -1, np.int64)) == []


def test_few_hashes():
    value = as_signed([0x0F0F0F0F0F0F0F0F])
    assert near_duplicates(value[:0]) == []
    assert near_duplicates(value) == []
    assert near_duplicates(np.concatenate([value, value])) == [[0, 1]]
