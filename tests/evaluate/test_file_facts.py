import numpy as np
import pytest

from doctored.core.errors import UndefinedMetricError
from doctored.evaluate.file_facts import file_facts_scores
from doctored.metrics.image import image_auc


def facts(kind, number, **given):
    return {
        "kind": kind,
        "name": f"{kind}{number}.jpg",
        "bytes_per_pixel": 0.5,
        "jpeg_quality": 90.0,
        "width": 100,
        "height": 80,
        "format": "JPEG",
        "subsampling": "4:2:0",
        **given,
    }


@pytest.mark.parametrize(
    ("name", "manipulated", "authentic"),
    [
        ("jpeg_quality", 75.0, 95.0),
        ("subsampling", "4:4:4", "4:2:0"),
        ("format", "PNG", "JPEG"),
        ("width", 300, 100),
        ("bytes_per_pixel", 0.2, 0.9),
    ],
)
def test_every_fact_can_give_the_classes_away(name, manipulated, authentic):
    records = [facts("manipulated", n, **{name: manipulated}) for n in range(10)]
    records += [facts("authentic", n, **{name: authentic}) for n in range(10)]
    scores = file_facts_scores(records)
    assert image_auc(scores, [record["kind"] == "manipulated" for record in records]) == 1
    assert ((scores > 0) & (scores < 1)).all()


def test_facts_that_say_nothing_score_about_a_half():
    rng = np.random.default_rng(0)
    records = [
        facts(kind, n, bytes_per_pixel=rng.uniform(0.1, 1), jpeg_quality=rng.uniform(50, 100))
        for kind in ("manipulated", "authentic")
        for n in range(150)
    ]
    scores = file_facts_scores(records)
    auc = image_auc(scores, [record["kind"] == "manipulated" for record in records])
    assert auc == pytest.approx(0.5, abs=0.1)


def test_an_original_does_not_teach_the_wrong_answer_about_its_forgery():
    """Of pairs with equal facts, one in the fit and one out of it, the fit would say the opposite of the truth."""
    rng = np.random.default_rng(1)
    records = []
    for n in range(12):
        own = {
            "bytes_per_pixel": rng.uniform(0.1, 1),
            "width": int(rng.integers(50, 500)),
            "name": f"{n}.jpg",
        }
        records += [facts("manipulated", n, **own), facts("authentic", n, **own)]
    scores = file_facts_scores(records)
    np.testing.assert_allclose(scores[::2], scores[1::2])


def test_a_fit_to_one_class_is_undefined():
    """Of four pictures two have one name, so one fit lacks a class; scikit-learn's ValueError got out."""
    names = [
        ("manipulated", "a.jpg"),
        ("manipulated", "b.jpg"),
        ("authentic", "a.jpg"),
        ("authentic", "c.jpg"),
    ]
    records = [facts(kind, 0, name=name) for kind, name in names]
    for seed in range(4):
        with pytest.raises(UndefinedMetricError, match="both classes in every fit"):
            file_facts_scores(records, seed)


def test_files_without_jpeg_facts_and_too_few_files():
    records = [
        facts(kind, n, jpeg_quality=None, subsampling=None)
        for kind in ("manipulated", "authentic")
        for n in (1, 2)
    ]
    assert file_facts_scores(records).shape == (4,)
    with pytest.raises(UndefinedMetricError, match="two or more"):
        file_facts_scores(records[:3])
