"""From the findings of several witnesses to one map and one score, by a rule that was fitted on generated forgeries."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import ModelError
from doctored.core.inspection import WitnessFinding
from doctored.core.json_text import parse_json

COMBINATION_FILE = "combination.json"
COMBINATION_FORMAT = 1
COMBINED_SCORE = "weighted sum of the witnesses' raw scores"

MOST_LOG_ODDS = 7.0
"""Log-odds of a map are cut off here: beyond it, a network's certainty says nothing any more."""

_BAND_PX = 1 << 20


@dataclass(frozen=True)
class WitnessWeights:
    """What one witness counts for.

    Args:
        model: Its catalogue name, or the folder of its model, seen from that of the combination.
        sha256: Of its model, as its findings state it.
        map_weight: Of the log-odds of its map.
        score_weight: Of its raw score.
    """

    model: str
    sha256: str
    map_weight: float
    score_weight: float


@dataclass(frozen=True)
class Combination:
    """The rule: in each pixel the weighted sum of the maps' log-odds, over the picture that of the raw scores.

    That is what a logistic regression on the witnesses would answer. Log-odds add up where witnesses err independently;
    the fitted weights are smaller than 1 as far as they do not.

    Args:
        witnesses: In the order in which they look.
        bias: Added to the log-odds of the map.
        fitted_on: What the numbers were fitted on, in a sentence.
        figures: What was measured while fitting.
        sha256: Of the file; empty if it never was one.

    Raises:
        ModelError: There are fewer than two witnesses, or a number is not finite.
    """

    witnesses: tuple[WitnessWeights, ...]
    bias: float
    fitted_on: str
    figures: dict[str, float]
    sha256: str = ""

    def __post_init__(self) -> None:
        if len(self.witnesses) < 2:
            raise ModelError(f"a combination needs two witnesses or more; got {len(self.witnesses)}")
        numbers = [
            self.bias,
            *(w.map_weight for w in self.witnesses),
            *(w.score_weight for w in self.witnesses),
        ]
        if not all(math.isfinite(number) for number in numbers):
            raise ModelError(f"the weights of a combination must be finite numbers; got {numbers}")

    def localization_map(self, findings: Sequence[WitnessFinding]) -> NDArray[np.float32]:
        """(H, W) float32 in [0, 1].

        Args:
            findings: Of the witnesses, in their order.
        """
        maps = [finding.localization_map for finding in findings]
        height, width = maps[0].shape
        combined = np.empty((height, width), np.float32)
        # In bands, because arrays of the size of a large picture take hundreds of megabytes each.
        rows = max(1, _BAND_PX // width)
        for top in range(0, height, rows):
            band = slice(top, top + rows)
            total = np.full(combined[band].shape, self.bias, np.float32)
            for witness, one in zip(self.witnesses, maps, strict=True):
                total += np.float32(witness.map_weight) * log_odds(one[band])
            # The sigmoid through tanh cannot overflow.
            combined[band] = 0.5 * np.tanh(0.5 * total) + 0.5
        return combined

    def raw_score(self, raw_scores: Sequence[float]) -> float:
        """Of the whole picture, not calibrated; higher is more likely manipulated.

        Args:
            raw_scores: Of the witnesses, in their order.
        """
        weighed = zip(self.witnesses, raw_scores, strict=True)
        return math.fsum(witness.score_weight * raw_score for witness, raw_score in weighed)

    def to_bytes(self) -> bytes:
        """The content of its file."""
        values = {name: value for name, value in asdict(self).items() if name != "sha256"}
        return (json.dumps({"format": COMBINATION_FORMAT, **values}, indent=2) + "\n").encode()


def log_odds(localization_map: NDArray[np.float32]) -> NDArray[np.float32]:
    """log(p / (1 - p)) of each likelihood, between `-MOST_LOG_ODDS` and `MOST_LOG_ODDS`."""
    lowest = np.float32(1 / (1 + math.exp(MOST_LOG_ODDS)))
    likelihood = np.clip(localization_map, lowest, 1 - lowest)
    odds: NDArray[np.float32] = np.log(likelihood) - np.log1p(-likelihood)
    return odds


def read_combination(path: Path) -> Combination:
    """The rule that a file holds.

    Raises:
        ModelError: It is missing, or damaged, or of another version.
    """
    try:
        content = path.read_bytes()
        values = parse_json(content)
        if values.pop("format") != COMBINATION_FORMAT:
            raise ModelError(f"{path} was written by another version of doctored; fit the combination again")
        witnesses = tuple(
            WitnessWeights(
                str(one["model"]), str(one["sha256"]), float(one["map_weight"]), float(one["score_weight"])
            )
            for one in values["witnesses"]
        )
        return Combination(
            witnesses,
            float(values["bias"]),
            str(values["fitted_on"]),
            {str(name): float(figure) for name, figure in values["figures"].items()},
            hashlib.sha256(content).hexdigest(),
        )
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read ({error.strerror}); give the folder of a combination"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{path} is no combination of witnesses ({type(error).__name__}: {error}); it is damaged"
        ) from error
