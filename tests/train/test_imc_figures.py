import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, top_k_accuracy_score

from doctored.core.imc_classes import IMC_CLASSES, IMC_FAMILIES, IMC_LEVELS, level_groups
from doctored.train.imc_figures import accuracies, confusion, confusion_picture, held_out_accuracies


def sure_of(guesses):
    logits = torch.full((len(guesses), len(IMC_CLASSES)), -20.0)
    logits[range(len(guesses)), guesses] = 20.0
    return logits


@pytest.fixture(scope="module")
def answers():
    """Half of the guesses are right, the others anything."""
    rng = np.random.default_rng(0)
    truth = rng.integers(385, size=400)
    guesses = np.where(rng.random(400) < 0.5, truth, rng.integers(385, size=400))
    return guesses, truth


def test_accuracies_count_families_types_and_classes_apart():
    box = [c.index for c in IMC_CLASSES if c.type == "BoxBlur"]
    gaussian = next(c.index for c in IMC_CLASSES if c.type == "GaussianBlur")
    noise = next(c.index for c in IMC_CLASSES if c.family == "noise")
    truth = torch.tensor([box[0], box[0], box[0], box[0]])
    figures = accuracies(sure_of([box[0], box[1], gaussian, noise]), truth)
    assert figures == {"family_accuracy": 0.75, "type_accuracy": 0.5, "class_accuracy": 0.25}


def test_a_family_wins_by_the_sum_of_its_classes():
    """The most probable class is noise, but blur has more probability together."""
    noise = next(c.index for c in IMC_CLASSES if c.family == "noise")
    box = [c.index for c in IMC_CLASSES if c.type == "BoxBlur"]
    logits = torch.full((1, 385), -20.0)
    logits[0, noise] = 1.0
    logits[0, box] = 0.0
    assert accuracies(logits, torch.tensor([box[3]]))["family_accuracy"] == 1
    assert accuracies(logits, torch.tensor([box[3]]))["class_accuracy"] == 0


def test_every_level_agrees_with_counting_by_hand(answers):
    guesses, truth = answers
    figures = held_out_accuracies(sure_of(guesses), torch.as_tensor(truth))
    names = ("family", "type", "level_49", "level_96", "level_185", "class")
    for level, name in zip(IMC_LEVELS, names, strict=True):
        groups = level_groups(level)
        expected = np.mean([groups[a] == groups[b] for a, b in zip(guesses, truth, strict=True)])
        assert figures[f"{name}_accuracy"] == pytest.approx(expected), level


def test_top_five_agrees_with_scikit_learn():
    rng = np.random.default_rng(1)
    truth = rng.integers(385, size=300)
    logits = rng.normal(size=(300, 385)).astype(np.float32)
    logits[range(300), truth] += 1.5
    expected = top_k_accuracy_score(truth, logits, k=5, labels=np.arange(385))
    assert 0.05 < expected < 0.95
    figures = held_out_accuracies(torch.as_tensor(logits), torch.as_tensor(truth))
    assert figures["class_top5_accuracy"] == pytest.approx(expected)


def test_confusions_agree_with_scikit_learn(answers):
    guesses, truth = answers
    for level in (7, 25):
        groups = level_groups(level)
        counts = confusion(sure_of(guesses), torch.as_tensor(truth), level)
        expected = confusion_matrix(groups[truth], groups[guesses], labels=np.arange(level))
        np.testing.assert_array_equal(counts, expected)


def test_accuracy_of_a_family_is_its_row_of_the_confusion(answers):
    guesses, truth = answers
    blur = np.array([IMC_CLASSES[c].family == "blur" for c in truth])
    called_blur = np.array([IMC_CLASSES[c].family == "blur" for c in guesses])
    figures = held_out_accuracies(sure_of(guesses), torch.as_tensor(truth))
    assert figures["family_accuracy_blur"] == pytest.approx(called_blur[blur].mean())
    only_blur = held_out_accuracies(sure_of(guesses[blur]), torch.as_tensor(truth[blur]))
    assert [name for name in only_blur if name.startswith("family_accuracy_")] == ["family_accuracy_blur"]


def test_the_picture_is_dark_where_the_shares_are_large():
    counts = np.diag([10, 20, 30, 1, 1, 1, 0])
    counts[1, 0] = 20
    picture = confusion_picture(counts, IMC_FAMILIES)
    height, width, _ = picture.shape
    assert picture.dtype == np.uint8
    cell_px = 30
    first = width - 6 - 7 * cell_px

    def shade(row, column):
        return picture[first + row * cell_px + 3, first + column * cell_px + 3].mean()

    assert height == width
    assert shade(0, 0) < shade(1, 0) == shade(1, 1) < shade(0, 1) == shade(6, 6) == 255
