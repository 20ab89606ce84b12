"""Those who look at a picture, one model or several, and the answer that they give together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import ModelError
from doctored.core.inspection import Region, WitnessFinding
from doctored.predict.combination import COMBINED_SCORE, Combination
from doctored.predict.copied_regions import settle_originals, tell_copies_apart
from doctored.predict.foreign_grids import join_foreign_grids
from doctored.predict.localize import ProgressCallback
from doctored.predict.witnesses import Witness

AGREED_SHARE = 0.5
"""A witness sees a region too where at least this share of its pixels has a map of at least `AGREED_LIKELIHOOD`."""

AGREED_LIKELIHOOD = 0.5

NAMED_SCORE = 0.5
"""Regions below it, where authentic is the likelier answer, are not asked for their family: features take time."""


NOTHING_KNOWN: Mapping[str, WitnessFinding] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Answer:
    """What a panel says of a picture.

    Attributes:
        localization_map: (H, W) float32 in [0, 1].
        raw_score: Of the whole picture, not calibrated.
        regions: Surest first.
        findings: What each witness says on its own.
    """

    localization_map: NDArray[np.float32]
    raw_score: float
    regions: tuple[Region, ...]
    findings: tuple[WitnessFinding, ...]


class Panel(Protocol):
    """Those who look.

    Attributes:
        name: What --model calls them.
        sha256: Of the model, or of the rule that combines them, lower-case hexadecimal.
        precision: What they compute in; of several, separated by commas.
        raw_score_rule: Name of the way in which a picture gets its raw score; a calibration is for one of them.
        witnesses: In the order in which they look.
    """

    name: str
    sha256: str
    precision: str
    raw_score_rule: str
    witnesses: tuple[Witness, ...]

    def look(
        self,
        pixels: NDArray[np.uint8],
        on_progress: ProgressCallback | None,
        known: Mapping[str, WitnessFinding] = NOTHING_KNOWN,
    ) -> Answer:
        """What they say of a picture (H, W, 3) uint8.

        Args:
            pixels: Of the picture.
            on_progress: Called after each step.
            known: What witnesses have found in it before, by their names; these do not look again.
        """
        ...

    def raw_score(self, pixels: NDArray[np.uint8]) -> float:
        """The raw score of that answer, without what it does not depend on."""
        ...


class OneWitness:
    """A panel of one, whose answer is what it finds."""

    def __init__(self, witness: Witness) -> None:
        self.name, self.sha256, self.precision = witness.name, witness.sha256, witness.precision
        self.raw_score_rule = witness.score_rule.name
        self.witnesses: tuple[Witness, ...] = (witness,)

    def look(
        self,
        pixels: NDArray[np.uint8],
        on_progress: ProgressCallback | None,
        known: Mapping[str, WitnessFinding] = NOTHING_KNOWN,
    ) -> Answer:
        finding = known.get(self.name) or self.witnesses[0].look(pixels, on_progress)
        return Answer(finding.localization_map, finding.raw_score, finding.regions, (finding,))

    def raw_score(self, pixels: NDArray[np.uint8]) -> float:
        return _raw_score(self.witnesses[0], pixels)


class RememberingWitness:
    """A witness who does not look twice at the same picture, so that several panels can share what it finds.

    Args:
        witness: The one who looks.
    """

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self.name, self.sha256, self.precision = witness.name, witness.sha256, witness.precision
        self.score_rule = witness.score_rule
        self._last: tuple[NDArray[np.uint8], WitnessFinding] | None = None

    def scored_map(
        self, pixels: NDArray[np.uint8], on_progress: ProgressCallback | None
    ) -> NDArray[np.float32]:
        return self._witness.scored_map(pixels, on_progress)

    def look(self, pixels: NDArray[np.uint8], on_progress: ProgressCallback | None) -> WitnessFinding:
        # By identity: pictures that happen to be equal are looked at again, which is slow but right.
        if self._last is None or self._last[0] is not pixels:
            self._last = pixels, self._witness.look(pixels, on_progress)
        return self._last[1]

    def estimate_seconds(self, size_hw: tuple[int, int]) -> float:
        return self._witness.estimate_seconds(size_hw)

    def steps(self, size_hw: tuple[int, ...]) -> int:
        return self._witness.steps(size_hw)

    def family_of(self, pixels: NDArray[np.uint8], region: Region) -> tuple[str, float] | None:
        return self._witness.family_of(pixels, region)


class CombinedWitnesses:
    """Several witnesses and the rule that weighs what they say.

    Args:
        name: What --model calls them.
        witnesses: As in the rule.
        rule: Fitted for these very models.

    Raises:
        ModelError: The rule is for other models, or two have the same name.
    """

    raw_score_rule = COMBINED_SCORE

    def __init__(self, name: str, witnesses: tuple[Witness, ...], rule: Combination) -> None:
        check_names(witnesses)
        for witness, weights in zip(witnesses, rule.witnesses, strict=True):
            if witness.sha256 != weights.sha256:
                raise ModelError(
                    f"the combination {name} was fitted for {weights.model} with SHA-256 {weights.sha256[:12]}..., not "
                    f"{witness.sha256[:12]}...; fit it again with: doctored train combination"
                )
        self.name, self.sha256, self.witnesses, self.rule = name, rule.sha256, witnesses, rule
        self.precision = ",".join(witness.precision for witness in witnesses)

    def look(
        self,
        pixels: NDArray[np.uint8],
        on_progress: ProgressCallback | None,
        known: Mapping[str, WitnessFinding] = NOTHING_KNOWN,
    ) -> Answer:
        steps = [0 if one.name in known else one.steps(pixels.shape[:2]) for one in self.witnesses]
        findings: list[WitnessFinding] = []
        for number, witness in enumerate(self.witnesses):

            def forward(done: int, _: int, before: int = sum(steps[:number])) -> None:
                if on_progress is not None:
                    on_progress(before + done, sum(steps))

            findings.append(known.get(witness.name) or witness.look(pixels, forward))
        settled = settle_originals(findings, self.rule.localization_map)
        regions = [
            self._with_family(_with_witnesses(region, of, findings), pixels)
            for of, of_witness in zip(
                findings,
                join_foreign_grids(tell_copies_apart([of.regions for of in settled])),
                strict=True,
            )
            for region in of_witness
        ]
        return Answer(
            self.rule.localization_map(settled),
            self.rule.raw_score([finding.raw_score for finding in findings]),
            tuple(sorted(regions, key=lambda region: -region.score)),
            tuple(findings),
        )

    def raw_score(self, pixels: NDArray[np.uint8]) -> float:
        # Whoever has no weight need not look.
        return self.rule.raw_score(
            [
                _raw_score(witness, pixels) if weights.score_weight else 0.0
                for witness, weights in zip(self.witnesses, self.rule.witnesses, strict=True)
            ]
        )

    def _with_family(self, region: Region, pixels: NDArray[np.uint8]) -> Region:
        """A region with the manipulation that it looks like, if it is worth the time and somebody can tell."""
        if region.score < NAMED_SCORE:
            return region
        for witness in self.witnesses:
            named = witness.family_of(pixels, region)
            if named is not None:
                return replace(region, family=named[0], family_score=named[1])
        return region


def _raw_score(witness: Witness, pixels: NDArray[np.uint8]) -> float:
    return witness.score_rule.score(witness.scored_map(pixels, None))


def check_names(witnesses: Sequence[Witness]) -> None:
    """Refuse witnesses that could not be told apart in an answer.

    Raises:
        ModelError: Two have the same name.
    """
    names = [witness.name for witness in witnesses]
    if len(set(names)) < len(names):
        raise ModelError(f"witnesses must be models of different names; got {', '.join(names)}")


def _with_witnesses(region: Region, found_by: WitnessFinding, findings: list[WitnessFinding]) -> Region:
    """A region with the names of all who see it."""
    names = [one.name for one in findings if one is found_by or _sees(one, region)]
    return replace(region, witnesses=tuple(names))


def _sees(finding: WitnessFinding, region: Region) -> bool:
    left, top, right, bottom = region.box_xyxy
    likelihoods = finding.localization_map[top:bottom, left:right]
    inside = likelihoods if region.mask is None else likelihoods[region.mask]
    return inside.size > 0 and float((inside >= AGREED_LIKELIHOOD).mean()) >= AGREED_SHARE
