"""What gives generated pictures away, in the tests and in the benchmark of the generator."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from doctored.core.forgery import Forgery
from doctored.synth.steps import Save, encode, step_from_recipe


def global_statistics(forgery: Forgery) -> list[float]:
    """Facts of the file as its last save writes it, and statistics of all its pixels."""
    after = [step_from_recipe(entry) for entry in forgery.recipe.history["after"]]
    last = after[-1] if after and isinstance(after[-1], Save) else Save("jpeg", 90)
    pixels = forgery.image.astype(np.float64)
    grey = pixels.mean(axis=2)
    laplacian = np.abs(cv2.Laplacian(grey, cv2.CV_64F))
    return [
        np.log(len(encode(forgery.image, last)) / grey.size),
        np.log(len(encode(forgery.image, Save("jpeg", 90))) / grey.size),
        float(last.quality),
        float(last.format == "webp"),
        *pixels.mean(axis=(0, 1)),
        *pixels.std(axis=(0, 1)),
        np.log(1 + np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()),
        np.log(1 + laplacian.mean()),
        np.log(1 + float(np.median(laplacian))),
        float((pixels >= 255).mean()),
        float((pixels <= 0).mean()),
    ]


def leak_auc(facts: NDArray[np.float64], forged: NDArray[np.bool_]) -> float:
    """Cross-validated AUC of a logistic regression; 0.5 means that the facts tell nothing."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    return float(cross_val_score(model, facts, forged, cv=5, scoring="roc_auc").mean())


def coverage_deviation(masks: Sequence[NDArray[np.bool_]]) -> float:
    """Largest relative deviation of 3 x 3 blocks of the mean mask from their mean, an eighth away from the border."""
    mean = np.mean(masks, axis=0)
    side = mean.shape[0]
    inner = mean[side // 8 : side - side // 8, side // 8 : side - side // 8]
    third = inner.shape[0] // 3
    blocks = inner[: 3 * third, : 3 * third].reshape(3, third, 3, third).mean(axis=(1, 3))
    return float(np.abs(blocks / blocks.mean() - 1).max())
