"""Hard examples more often: the mix of forgeries follows what the network finds difficult."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from doctored.core.forgery import Forgery, Source
from doctored.data.forgery_stream import ForgeryStream
from doctored.synth.histories import Domain

_MEMORY = 0.98
_LIMITS = (0.5, 2.0)


class Curriculum:
    """Forgeries by number, of kinds and domains that are drawn in proportion to their running loss.

    A cell is one kind in one domain. Its share is its share without curriculum times its running loss, kept
    between half and twice the former, so that nothing is forgotten and nothing takes over. Shares change only
    between rounds: within one, sample n depends on n and on the saved state alone, so a resumed run sees what an
    uninterrupted one would have seen.

    Args:
        photographs: What forgeries are made from.
        size_px: Side of the square samples.
        seed: Chooses the samples.
        kind_shares: Frequency of each kind of forgery without curriculum.
        domain_shares: That of each domain.
        round_steps: Optimiser steps between two changes of the shares.
        removals: Made ahead, as in `ForgeryStream`.

    Attributes:
        cells: Pairs of kind and domain; the position is the number of the cell.
        shares: (cells,), the frequency of each in the present round.
    """

    def __init__(
        self,
        photographs: Sequence[Source],
        size_px: int,
        seed: int,
        kind_shares: Mapping[str, float],
        domain_shares: Mapping[Domain, float],
        round_steps: int,
        removals: Sequence[Forgery] | None = None,
    ) -> None:
        self.round_steps = round_steps
        self.cells = list(product(kind_shares, domain_shares))
        self._streams = [
            ForgeryStream(photographs, size_px, seed, {kind: 1.0}, {domain: 1.0}, removals)
            for kind, domain in self.cells
        ]
        base = np.array([kind_shares[kind] * domain_shares[domain] for kind, domain in self.cells])
        self._base: NDArray[np.float64] = base / base.sum()
        self._seed = seed
        self._losses: list[float | None] = [None] * len(self.cells)
        self.shares = self._base

    def draw(self, number: int) -> tuple[Forgery, int]:
        """Sample number n of the present round, and its cell."""
        # Three numbers, since the streams draw from two of them.
        rng = np.random.default_rng((self._seed, number, 2))
        cell = int(rng.choice(len(self.cells), p=self.shares))
        return self._streams[cell][number], cell

    def observe(self, cells: torch.Tensor, losses: torch.Tensor) -> None:
        """Take note of the loss of some pictures, in the order in which they were learned from.

        Shapes:
            cells: (B,), int64.
            losses: (B,), float.
        """
        for cell, loss in zip(cells.tolist(), losses.tolist(), strict=True):
            before = self._losses[cell]
            self._losses[cell] = loss if before is None else _MEMORY * before + (1 - _MEMORY) * loss

    def end_round(self) -> None:
        """Let the shares follow the losses; a cell that has not been seen counts as an average one."""
        seen = [loss for loss in self._losses if loss is not None]
        mean = sum(seen) / len(seen)
        factors = np.array([1.0 if loss is None else loss / mean for loss in self._losses])
        shares = self._base * factors.clip(*_LIMITS)
        self.shares = shares / shares.sum()

    def state(self) -> dict[str, Any]:
        """What `restore` needs, as JSON."""
        return {"losses": self._losses, "shares": self.shares.tolist()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self._losses = list(state["losses"])
        self.shares = np.array(state["shares"])
