"""An endless stream of forgeries, made on the fly from a pool of photographs."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from doctored.core.errors import ConfigError, DataError
from doctored.core.forgery import TECHNIQUES, Forgery, Source
from doctored.core.recipe import Recipe
from doctored.synth.forge import draw_recipe, make_forgery
from doctored.synth.histories import DOMAIN_SHARES, Domain, smallest_side_px

DEFAULT_SHARES: dict[str, float] = {
    "authentic": 0.22,
    "splicing": 0.26,
    "copy_move": 0.16,
    "removal": 0.16,
    "enhancement": 0.2,
}
_Name = TypeVar("_Name", bound=str)
_DONOR_TRIES = 8
_MADE_AHEAD_SHARE = 1 / 6


class ForgeryStream:
    """Forged and authentic samples without end, to be indexed by number.

    Sample number n of a seed is always the same, whichever process makes it and whenever: workers divide the
    numbers among them, an epoch is a range of numbers, and a resumed run goes on with the numbers that it has not
    seen.

    Args:
        photographs: What is forged and what is pasted; a `PhotographPool` is shared between worker processes.
            Those too small for the samples are left out; their positions are in `too_small`.
        size_px: Side of the square samples.
        seed: Chooses the stream.
        shares: Relative frequency of each of `TECHNIQUES`; those not named do not occur.
        domain_shares: Relative frequency of each domain; those not named do not occur.
        removals: Removals that take too long to be waited for; a sixth of the removals are taken from them, of any
            domain. None makes all on the fly.

    Raises:
        ConfigError: A technique or domain does not exist, or no share is positive.
        DataError: Fewer than two photographs are large enough.
    """

    def __init__(
        self,
        photographs: Sequence[Source],
        size_px: int = 192,
        seed: int = 0,
        shares: Mapping[str, float] = DEFAULT_SHARES,
        domain_shares: Mapping[Domain, float] = DOMAIN_SHARES,
        removals: Sequence[Forgery] | None = None,
    ) -> None:
        self._removals = removals
        self._kinds, self._kind_probabilities = _probabilities(shares, TECHNIQUES)
        self._domains, self._domain_probabilities = _probabilities(domain_shares, tuple(DOMAIN_SHARES))
        needed_px = smallest_side_px(size_px)
        self._photographs = photographs
        fits = [min(source.size_hw) >= needed_px for source in photographs]
        self.too_small = [position for position, fit in enumerate(fits) if not fit]
        self._usable = [position for position, fit in enumerate(fits) if fit]
        if len(self._usable) < 2:
            raise DataError(
                f"forgeries of {size_px} px need two photographs of at least {needed_px} px on both sides, "
                f"but {len(self._usable)} of {len(photographs)} are; add larger ones or ask for smaller crops"
            )
        self.size_px = size_px
        self.seed = seed

    def __getitem__(self, number: int) -> Forgery:
        """Sample number n, 0 or more."""
        recipe, host, donor = self._draw(number)
        if recipe.technique == "removal" and self._removals:
            rng = np.random.default_rng((self.seed, number, 1))
            if rng.random() < _MADE_AHEAD_SHARE:
                return self._removals[int(rng.integers(len(self._removals)))]
        return make_forgery(recipe, host, donor)

    def recipe(self, number: int) -> Recipe:
        """How sample number n is made, if it is not taken from the removals made ahead."""
        return self._draw(number)[0]

    def _draw(self, number: int) -> tuple[Recipe, Source, Source]:
        rng = np.random.default_rng((self.seed, number))
        host, donor = self._pair(rng)
        kind = self._kinds[rng.choice(len(self._kinds), p=self._kind_probabilities)]
        domain = self._domains[rng.choice(len(self._domains), p=self._domain_probabilities)]
        seed = int(rng.integers(2**53))  # JSON readers hold integers of so many bits
        return draw_recipe(host, donor, kind, self.size_px, seed, domain), host, donor

    def _pair(self, rng: np.random.Generator) -> tuple[Source, Source]:
        """Two photographs, of different groups if a few tries find one."""
        for _ in range(_DONOR_TRIES):
            first, second = rng.choice(self._usable, size=2, replace=False)
            host, donor = self._photographs[first], self._photographs[second]
            if host.group != donor.group:
                break
        return host, donor


def _probabilities(
    shares: Mapping[_Name, float], known: tuple[_Name, ...]
) -> tuple[list[_Name], list[float]]:
    unknown = sorted(set(shares) - set(known))
    if unknown:
        raise ConfigError(f"shares name {', '.join(unknown)}; expected some of {', '.join(known)}")
    total = sum(shares.values())
    if min(shares.values(), default=0) < 0 or not total > 0:
        raise ConfigError("shares must be 0 or more, at least one of them positive")
    return list(shares), [share / total for share in shares.values()]
