"""Two witnesses in one answer; the yardsticks are witnesses enough."""

from dataclasses import replace

import numpy as np
import pytest
from skimage import data

from doctored.core.errors import ModelError
from doctored.core.inspection import Region, WitnessFinding
from doctored.core.picture import Picture
from doctored.predict.combination import COMBINATION_FILE, Combination, WitnessWeights
from doctored.predict.detector import Detector, load_panel, load_witness
from doctored.predict.panel import CombinedWitnesses, OneWitness, RememberingWitness
from doctored.predict.raw_score import LARGEST_REGION
from models.grid_search.foreign_grid import picture_with_a_foreign_square

PIXELS = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)


class Saying:
    """A witness who always says the same."""

    precision = "fp32"

    def __init__(self, name, localization_map, regions=(), steps=1, family=None):
        self.name, self.sha256, self.count, self.family = name, name[0] * 64, steps, family
        self.score_rule = LARGEST_REGION
        self.finding = WitnessFinding(name, self.sha256, 2.0, localization_map, tuple(regions))

    def scored_map(self, pixels, on_progress):
        return self.finding.localization_map

    def look(self, pixels, on_progress):
        for step in range(self.count):
            on_progress(step + 1, self.count)
        return self.finding

    def steps(self, size_hw):
        return self.count

    def family_of(self, pixels, region):
        return self.family


def level(value, size_hw=(20, 30)):
    return np.full(size_hw, value, np.float32)


def rule(*witnesses):
    return Combination(
        tuple(WitnessWeights(w.name, w.sha256, 1.0, 0.5) for w in witnesses), 0.0, "nothing", {}
    )


def both(first, second):
    return CombinedWitnesses("both", (first, second), rule(first, second))


def test_an_answer_holds_what_each_says_and_what_follows():
    first, second = Saying("mantranet", level(0.5)), Saying("constrained-rcnn", level(0.9))
    answer = both(first, second).look(PIXELS, None)
    assert answer.findings == (first.finding, second.finding)
    np.testing.assert_allclose(answer.localization_map, level(0.9), rtol=1e-5)
    assert answer.raw_score == 2.0


def test_a_region_names_all_who_see_it():
    seen = level(0.1)
    seen[0:10, 0:10] = 0.8
    regions = [
        Region((0, 0, 10, 10), "splicing", 0.6),
        Region((5, 0, 15, 10), "splicing", 0.7),
        Region((6, 0, 16, 10), "removal", 0.9),
        # Of its box the other witness sees four tenths, but of its mask all.
        Region((6, 0, 16, 10), "removal", 0.5, np.arange(10) < np.full((10, 1), 4)),
    ]
    answer = both(Saying("mantranet", seen), Saying("constrained-rcnn", level(0.1), regions)).look(
        PIXELS, None
    )
    assert [(one.score, one.witnesses) for one in answer.regions] == [
        (0.9, ("constrained-rcnn",)),
        (0.7, ("mantranet", "constrained-rcnn")),
        (0.6, ("mantranet", "constrained-rcnn")),
        (0.5, ("mantranet", "constrained-rcnn")),
    ]


def test_sure_regions_get_the_family_that_somebody_can_name():
    regions = [Region((0, 0, 10, 10), "splicing", 0.7), Region((5, 5, 15, 15), "splicing", 0.3)]
    first = Saying("mantranet", level(0.1), family=("blur", 0.75))
    answer = both(first, Saying("constrained-rcnn", level(0.1), regions)).look(PIXELS, None)
    assert [(one.family, one.family_score) for one in answer.regions] == [("blur", 0.75), (None, None)]
    silent = both(Saying("mantranet", level(0.1)), Saying("constrained-rcnn", level(0.1), regions))
    assert [one.family for one in silent.look(PIXELS, None).regions] == [None, None]


def test_a_raw_score_alone_is_that_of_the_answer_and_asks_nobody_without_weight():
    panel = load_panel_of_yardsticks()
    assert panel.raw_score(PIXELS) == panel.look(PIXELS, None).raw_score
    assert OneWitness(panel.witnesses[0]).raw_score(PIXELS) == panel.look(PIXELS, None).findings[0].raw_score

    first, silent = load_witness("sharpness"), Saying("b", level(0.5))
    silent.scored_map = None
    weights = rule(first, silent).witnesses
    only_first = Combination((weights[0], replace(weights[1], score_weight=0.0)), 0.0, "nothing", {})
    alone = CombinedWitnesses("both", (first, silent), only_first).raw_score(PIXELS)
    assert alone == 0.5 * first.look(PIXELS, None).raw_score


def load_panel_of_yardsticks():
    return both(load_witness("sharpness"), load_witness("noise"))


def test_progress_counts_the_steps_of_all():
    heard = []
    both(Saying("a", level(0.5), steps=3), Saying("b", level(0.5), steps=2)).look(
        PIXELS, lambda done, total: heard.append((done, total))
    )
    assert heard == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


def test_a_rule_for_other_models_or_twins_is_refused():
    first, second = Saying("a", level(0.5)), Saying("b", level(0.5))
    weights = rule(first, second)
    other = replace(weights.witnesses[1], sha256="f" * 64)
    with pytest.raises(ModelError, match=r"fitted for b with SHA-256 ffff.*train combination"):
        CombinedWitnesses("both", (first, second), replace(weights, witnesses=(weights.witnesses[0], other)))
    with pytest.raises(ModelError, match="different names; got a, a"):
        both(first, first)


def test_a_folder_with_a_combination_inspects(tmp_path):
    noise, sharpness = load_witness("noise"), load_witness("sharpness")
    (tmp_path / COMBINATION_FILE).write_bytes(rule(noise, sharpness).to_bytes())
    detector = Detector.from_name(tmp_path)
    inspection = detector.inspect(Picture.from_array(PIXELS))
    assert detector.witness_names == ("noise", "sharpness")
    assert inspection.model.name == "both"
    assert inspection.model.sha256 == detector.sha256
    assert [finding.name for finding in inspection.witnesses] == ["noise", "sharpness"]
    scores = [load_panel(name, load_witness).look(PIXELS, None).raw_score for name in ("noise", "sharpness")]
    assert inspection.model.raw_score == pytest.approx(0.5 * sum(scores))
    assert detector.raw_score(PIXELS) == inspection.model.raw_score
    for finding in inspection.witnesses:
        alone = Detector.from_name(finding.name).inspect(Picture.from_array(PIXELS))
        np.testing.assert_array_equal(finding.localization_map, alone.localization_map)


def test_one_witness_is_a_panel_of_one():
    witness = load_witness("noise")
    answer, finding = OneWitness(witness).look(PIXELS, None), witness.look(PIXELS, None)
    assert answer.raw_score == finding.raw_score
    np.testing.assert_array_equal(answer.localization_map, finding.localization_map)


def test_a_witness_who_remembers_looks_once_at_a_picture():
    class Counting(Saying):
        looks = 0

        def look(self, pixels, on_progress):
            self.looks += 1
            return super().look(pixels, on_progress)

    counting = Counting("a", level(0.5))
    witness = RememberingWitness(counting)
    first = witness.look(PIXELS, lambda done, total: None)
    assert witness.look(PIXELS, lambda done, total: None) is first
    assert counting.looks == 1
    witness.look(PIXELS.copy(), lambda done, total: None)
    assert counting.looks == 2
    assert (witness.name, witness.sha256, witness.precision) == ("a", "a" * 64, "fp32")


def test_who_has_found_something_before_does_not_look_again():
    first, second = Saying("a", level(0.5), steps=3), Saying("b", level(0.5), steps=2)
    earlier = WitnessFinding("b", second.sha256, 7.0, level(0.25))
    heard = []
    answer = both(first, second).look(PIXELS, lambda *step: heard.append(step), {"b": earlier})
    assert answer.findings == (first.finding, earlier)
    assert answer.raw_score == 0.5 * (2.0 + 7.0)
    assert heard == [(1, 3), (2, 3), (3, 3)]
    assert OneWitness(second).look(PIXELS, None, {"b": earlier}).findings == (earlier,)


def test_a_found_copy_and_a_network_complete_each_other():
    """The search finds two places, the network suspects one and takes it for a splice."""
    pixels = data.astronaut()[:300, :384].copy()
    pixels[180:260, 20:100] = pixels[10:90, 170:250]
    suspected = level(0.2, (300, 384))
    suspected[190:250, 30:90] = 0.6
    network = Saying("constrained-rcnn", suspected, [Region((22, 184, 98, 258), "splicing", 0.6)])
    search = load_witness("copy-search")
    answer = both(network, search).look(pixels, None)
    (region,) = answer.regions
    # The search knows the border better than the network.
    np.testing.assert_allclose(region.box_xyxy, (20, 180, 100, 260), atol=1)
    assert region.technique == "copy_move"
    assert region.witnesses == ("constrained-rcnn", "copy-search")
    np.testing.assert_allclose(region.twin_box_xyxy, (170, 10, 250, 90), atol=8)
    found = answer.findings[1]
    assert len(found.regions) == 2
    # The original adds nothing to the answer's map, though the search has it in its own.
    assert answer.localization_map[50, 210] == answer.localization_map[0, 0]
    assert found.localization_map[50, 210] > 0.5
    assert answer.localization_map[220, 60] > 0.9
    assert answer.raw_score == pytest.approx(0.5 * (2 + found.raw_score))


def test_a_region_that_holds_a_foreign_grid_says_so_and_is_there_once():
    """The search is sure of the calm parts of a paste, the network suspects the whole of it."""
    pixels = picture_with_a_foreign_square()
    network = Saying(
        "constrained-rcnn", level(0.2, (300, 384)), [Region((150, 70, 270, 190), "splicing", 0.6)]
    )
    answer = both(network, load_witness("grid-search")).look(pixels, None)
    (region,) = answer.regions
    (found,) = answer.findings[1].regions
    assert (region.box_xyxy, region.technique) == ((150, 70, 270, 190), "splicing")
    assert (region.jpeg_grid_xy, region.score) == ((157 % 8, 75 % 8), found.score)
    assert answer.localization_map[130, 210] > 0.9 > answer.localization_map[20, 20]
    assert answer.raw_score == pytest.approx(0.5 * (2 + answer.findings[1].raw_score))
