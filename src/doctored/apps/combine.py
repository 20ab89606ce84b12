"""`doctored train combination`: how much each of several witnesses counts, fitted on forgeries made on the fly."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import ConfigError

if TYPE_CHECKING:
    from doctored.core.forgery import Forgery
    from doctored.core.inspection import WitnessFinding
    from doctored.data.forgery_stream import ForgeryStream
    from doctored.predict.witnesses import Witness
    from doctored.synth.histories import Domain
    from doctored.train.logistic import LogisticFit

_PIXELS_PER_CLASS = 200
_LICENCE_REMARK = (
    "That is about the rule alone. Its witnesses have weights of their own, and notes beside those."
)

NOTHING_SET: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class FittedWeights:
    """What a combination consists of.

    Attributes:
        names: Of the witnesses.
        hashes: SHA-256 of the model of each.
        of_map: From the log-odds of the witnesses' maps to those of a pixel being manipulated.
        score_weights: (F,), of their raw scores.
        figures: What each witness, and the rule, make of the samples fitted on.
    """

    names: tuple[str, ...]
    hashes: tuple[str, ...]
    of_map: "LogisticFit"
    score_weights: NDArray[np.float64]
    figures: dict[str, float]


@dataclass(frozen=True, eq=False)
class _Seen:
    """What F witnesses said of one sample.

    Attributes:
        raw_scores: (F,).
        forged: Whether it is forged.
        log_odds: (N, F), of the maps at N pixels, of each class as many where there are as many.
        manipulated: (N,) bool, the class of each pixel.
        aucs: (F,), pixel AUC of each map; empty for an authentic sample.
    """

    raw_scores: list[float]
    forged: bool
    log_odds: NDArray[np.float64]
    manipulated: NDArray[np.bool_]
    aucs: list[float]


def check_combination(
    output: Path, models: Sequence[str], score_of: str | None, score_weights: Sequence[str], *, force: bool
) -> None:
    """Refuse what makes no sense, before any work is done.

    Args:
        output: The folder.
        models: Names or folders of the witnesses.
        score_of: Whose score alone is that of whole pictures; None for a fitted one.
        score_weights: What the user set scores to count.
        force: Whether a combination in the folder may be replaced.

    Raises:
        ConfigError: There is a combination in the folder already and force is not given, or fewer than two models are
            named, or one twice, or the score is to be that of another, or of one alone and weighed too.
    """
    from doctored.predict.combination import COMBINATION_FILE

    path = output / COMBINATION_FILE
    if path.exists() and not force:
        raise ConfigError(f"{path} already exists; choose another --output, or overwrite it with --force")
    if len(models) < 2 or len(set(models)) < len(models):
        raise ConfigError(f"a combination is of two different models or more; got {', '.join(models)}")
    if score_of is not None and score_of not in models:
        raise ConfigError(f"--score-of is {score_of!r}; choose {' or '.join(models)}")
    if score_of is not None and score_weights:
        raise ConfigError(
            f"--score-of {score_of} takes the score from that one alone, so --score-weight {score_weights[0]} would "
            "count for nothing; give one of both"
        )


def check_free_witnesses(models: Sequence[str]) -> None:
    """Refuse networks that may have learned from other photographs than free ones; searches have learned from none.

    Args:
        models: Names or folders of the witnesses; folders that are not there are left to whoever loads them.

    Raises:
        ConfigError: One is not known to have learned from free photographs alone.
    """
    from doctored.apps.markings import names_in_words
    from doctored.data.licences import learned_from_free_alone
    from doctored.models.catalog import CATALOG
    from doctored.predict.detector import model_folder

    networks = [name for name in models if name not in CATALOG or not CATALOG[name].is_code_alone]
    folders = {name: model_folder(name) for name in networks}
    doubtful = [
        name for name, folder in folders.items() if folder.is_dir() and not learned_from_free_alone(folder)
    ]
    if doubtful:
        raise ConfigError(
            "--free-only takes networks that learned from free photographs alone as far as is known, but "
            f"{names_in_words(doubtful)} may have learned from others; name with --witness runs that were trained with "
            "--free-only, exports of these, or searches"
        )


def set_score_weights(assignments: Sequence[str], models: Sequence[str]) -> dict[str, float]:
    """From what a user set, such as "copy-search=3", to weights by model.

    Raises:
        ConfigError: It is not of that form, names another model, or sets no number of 0 or more.
    """
    weights = {}
    for assignment in assignments:
        name, _, text = assignment.rpartition("=")
        try:
            weight = float(text)
        except ValueError:
            weight = -1.0
        if name not in models or not 0 <= weight < math.inf:
            raise ConfigError(
                f"--score-weight is {assignment!r}; give {' or '.join(models)} with a number of 0 or more, such as "
                f"{models[-1]}=3"
            )
        weights[name] = weight
    return weights


def domain_shares(names: Sequence[str]) -> "dict[Domain, float]":
    """The shares of the named domains of forgeries among all of these, as in training.

    Raises:
        ConfigError: There is no such domain.
    """
    from doctored.synth.histories import DOMAIN_SHARES

    unknown = [name for name in names if name not in DOMAIN_SHARES]
    if unknown:
        raise ConfigError(f"--domain is {unknown[0]!r}; choose {', '.join(DOMAIN_SHARES)}")
    return {domain: share for domain, share in DOMAIN_SHARES.items() if domain in names}


def fit_combination(
    witnesses: "Sequence[Witness]",
    samples: "ForgeryStream",
    count: int,
    on_progress: Callable[[int, int], None],
    score_weights: Mapping[str, float] = NOTHING_SET,
) -> FittedWeights:
    """Fit how much each witness counts.

    In each sample the manipulated and the authentic pixels weigh one half each, and over all samples the forged and
    the authentic pictures do.

    Args:
        witnesses: Those who look.
        samples: To fit on; none that a score is measured on.
        count: How many to take.
        on_progress: Called with the numbers of samples done and to do.
        score_weights: By name of a witness what its raw score counts, in place of the fitted weight.

    Raises:
        ModelError: Two witnesses have the same name.
        DataError: There are no forged or no authentic samples among them.
    """
    from doctored.predict.panel import check_names
    from doctored.train.logistic import fit_logistic

    check_names(witnesses)
    rng = np.random.default_rng(samples.seed)
    seen: list[_Seen] = []
    for number in range(count):
        sample = samples[number]
        seen.append(_seen(sample, [witness.look(sample.image, None) for witness in witnesses], rng))
        on_progress(number + 1, count)
    of_map = fit_logistic(
        np.concatenate([one.log_odds for one in seen]),
        np.concatenate([one.manipulated for one in seen]),
        np.concatenate([_balanced(one.manipulated) for one in seen]),
    )
    forged = np.array([one.forged for one in seen])
    scores = np.array([one.raw_scores for one in seen])
    of_picture = fit_logistic(scores, forged, _balanced(forged))
    fitted = zip(witnesses, of_picture.weights, strict=True)
    of_score = np.array([score_weights.get(witness.name, weight) for witness, weight in fitted])
    hashes = tuple(witness.sha256 for witness in witnesses)
    figures = _figures(witnesses, seen, scores @ of_score)
    names = tuple(witness.name for witness in witnesses)
    return FittedWeights(names, hashes, of_map, of_score, figures)


def with_score_of(fitted: FittedWeights, number: int) -> FittedWeights:
    """The same map, with the raw score of one witness alone for whole pictures."""
    figures = fitted.figures | {"image_auc": fitted.figures[f"image_auc_{fitted.names[number]}"]}
    return replace(fitted, score_weights=np.eye(len(fitted.hashes))[number], figures=figures)


def _balanced(positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weights of samples by which both classes weigh one half, or the only one all."""
    shares = np.where(positive, 1 / max(1, positive.sum()), 1 / max(1, (~positive).sum()))
    weights: NDArray[np.float64] = shares / shares.sum()
    return weights


def _seen(sample: "Forgery", findings: "Sequence[WitnessFinding]", rng: np.random.Generator) -> _Seen:
    from doctored.metrics.pixel import pixel_auc
    from doctored.predict.combination import log_odds

    gt_mask = sample.gt_mask
    authentic = ~gt_mask if sample.source_mask is None else ~gt_mask & ~sample.source_mask
    pixels = np.concatenate(
        [
            rng.choice(of_class, min(len(of_class), _PIXELS_PER_CLASS), replace=False)
            for of_class in (np.flatnonzero(gt_mask), np.flatnonzero(authentic))
        ]
    )
    forged = bool(gt_mask.any())
    maps = [finding.localization_map for finding in findings]
    return _Seen(
        raw_scores=[finding.raw_score for finding in findings],
        forged=forged,
        log_odds=np.column_stack([log_odds(one.ravel()[pixels]) for one in maps]).astype(np.float64),
        manipulated=gt_mask.ravel()[pixels],
        aucs=[pixel_auc(one, gt_mask) for one in maps] if forged else [],
    )


def _figures(
    witnesses: "Sequence[Witness]", seen: Sequence[_Seen], combined: NDArray[np.float64]
) -> dict[str, float]:
    from doctored.metrics.image import image_auc

    forged = [one.forged for one in seen]
    figures = {"image_auc": image_auc(combined, forged)}
    for number, witness in enumerate(witnesses):
        raw_scores = [one.raw_scores[number] for one in seen]
        figures[f"image_auc_{witness.name}"] = image_auc(raw_scores, forged)
        figures[f"pixel_auc_{witness.name}"] = float(
            np.mean([one.aucs[number] for one in seen if one.forged])
        )
    return {name: round(figure, 4) for name, figure in figures.items()}


def write_combination(
    fitted: FittedWeights,
    models: Sequence[str],
    fitted_on: str,
    licences: dict[str, int] | None,
    output: Path,
) -> str:
    """Write a combination into a folder for `--model`, and the note of its licences.

    Args:
        fitted: Its weights.
        models: Names or folders of the witnesses, in their order.
        fitted_on: What it was fitted on, in a sentence.
        licences: Of the photographs that it was fitted on, as `count_licences` says; None where none is recorded.
        output: The folder.

    Returns:
        What it says, in a few lines for people.

    Raises:
        OutputError: The folder cannot be written to.
    """
    from doctored.apps.outputs import make_folder, write_complete
    from doctored.data.licences import LICENCE_FILE, licence_note
    from doctored.models.catalog import CATALOG
    from doctored.predict.combination import COMBINATION_FILE, Combination, WitnessWeights

    make_folder(output)
    found = [
        name if name in CATALOG else os.path.relpath(name, output).replace(os.sep, "/") for name in models
    ]
    numbers = zip(found, fitted.hashes, fitted.of_map.weights, fitted.score_weights, strict=True)
    witnesses = tuple(
        WitnessWeights(model, sha256, float(of_map), float(of_picture))
        for model, sha256, of_map, of_picture in numbers
    )
    combination = Combination(witnesses, fitted.of_map.bias, fitted_on, fitted.figures)
    path = output / COMBINATION_FILE
    note = licence_note(licences, remark=_LICENCE_REMARK)
    write_complete(output / LICENCE_FILE, lambda file: file.write(note.encode()))
    write_complete(path, lambda file: file.write(combination.to_bytes()))
    lines = [f"{path}: fitted on {fitted_on}"]
    lines += [f"  {one.model}: map {one.map_weight:.4g}, score {one.score_weight:.4g}" for one in witnesses]
    lines += [f"  {name} {figure:.3f}" for name, figure in fitted.figures.items()]
    return "\n".join(lines)
