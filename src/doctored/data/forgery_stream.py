"""An endless stream of forgeries from a pool of photographs in memory."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import ConfigError, DataError
from doctored.core.forgery import TECHNIQUES, Forgery
from doctored.synth.histories import smallest_side_px
from doctored.synth.simple_forgeries import make_forgery

DEFAULT_SHARES: dict[str, float] = {
    "authentic": 0.22,
    "splicing": 0.26,
    "copy_move": 0.16,
    "removal": 0.16,
    "enhancement": 0.2,
}


class ForgeryStream:
    """Makes forged and authentic samples without end, the same ones for the same seed.

    Sample number i of a worker depends on the seed, the worker and i alone, so that a stream can go on where it
    stopped. It holds no state but the photographs, which worker processes share if they are memory-mapped or the
    processes are forked.

    Args:
        photographs: Each (H, W, 3) uint8, RGB, whole as decoded from its file. Those too small for the crops are left
            out; their positions are in `too_small`.
        size_px: Side of the square samples.
        seed: Chooses the stream.
        shares: Relative frequency of each of `TECHNIQUES`; those not named do not occur.

    Raises:
        ConfigError: A technique does not exist, or no share is positive.
        DataError: Fewer than two photographs are large enough.
    """

    def __init__(
        self,
        photographs: Sequence[NDArray[np.uint8]],
        size_px: int = 192,
        seed: int = 0,
        shares: Mapping[str, float] = DEFAULT_SHARES,
    ) -> None:
        unknown = sorted(shares.keys() - set(TECHNIQUES))
        if unknown:
            raise ConfigError(f"shares name {', '.join(unknown)}; expected some of {', '.join(TECHNIQUES)}")
        total = sum(shares.values())
        if min(shares.values(), default=0) < 0 or not total > 0:
            raise ConfigError("shares must be 0 or more, at least one of them positive")
        needed_px = smallest_side_px(size_px)
        fits = [min(photograph.shape[:2]) >= needed_px for photograph in photographs]
        self.too_small = [position for position, fit in enumerate(fits) if not fit]
        self._photographs = [photograph for photograph, fit in zip(photographs, fits, strict=True) if fit]
        if len(self._photographs) < 2:
            raise DataError(
                f"forgeries of {size_px} px need two photographs of at least {needed_px} px on both sides, "
                f"but {len(self._photographs)} of {len(photographs)} are; add larger ones or ask for smaller crops"
            )
        self.size_px = size_px
        self.seed = seed
        self._kinds = list(shares)
        self._probabilities = [share / total for share in shares.values()]

    def sample(self, rng: np.random.Generator) -> Forgery:
        """Make one sample; the same state of the generator makes the same sample."""
        host, donor = rng.choice(len(self._photographs), size=2, replace=False)
        kind = self._kinds[rng.choice(len(self._kinds), p=self._probabilities)]
        return make_forgery(self._photographs[host], self._photographs[donor], kind, rng, self.size_px)

    def samples(self, worker: int = 0, start: int = 0) -> Iterator[Forgery]:
        """All samples of one worker from a number on, without end."""
        number = start
        while True:
            yield self.sample(np.random.default_rng((self.seed, worker, number)))
            number += 1
