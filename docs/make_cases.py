"""Makes docs/images/case-*.jpg and the cases of docs/how-to-read-a-result.md with the embedded model.

Call it anew, with `make docs-pictures`, when the embedded model, its calibration or the look of overlays changes. The
forgeries and the authentic pictures are those of docs/images; its credits say where they come from.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from doctored.apps.markings import mark_regions
from doctored.apps.outputs import overlay_bands
from doctored.core.inspection import Inspection
from doctored.core.read_image import read_image, read_mask
from doctored.metrics.pixel import flagged_area, pixel_auc
from doctored.predict import Detector
from doctored.predict.verdict import in_words

IMAGES = Path(__file__).with_name("images")
PAGE = Path(__file__).with_name("how-to-read-a-result.md")
START, END = "<!-- cases: written by docs/make_cases.py -->\n", "<!-- end of cases -->\n"
FORGED = {"splicing": "a pasted bird", "copy_move": "a daisy copied", "removal": "a dragonfly covered up"}
AUTHENTIC = ("canyon-wren", "san-francisco-skyline", "egg-basket", "beacon-street-sunset")
_PANEL_PX, _GAP_PX = 300, 6
_PLACE_PX = 15  # a single bright pixel is no place
_ON_IT, _CALM_SHARE = 0.25, 0.01
_LEAST_SHARE = 0.005  # less would be called 0 %
_RING = (80, 200, 255)


@dataclass(frozen=True)
class Case:
    """One picture, what is known of it, and what the model says.

    Attributes:
        name: Of its file, without ending.
        gt_mask: Where it was manipulated; None for an authentic picture.
        inspection: The answer.
        peak_yx: The highest place of the map.
        auc: Pixel AUC; None for an authentic picture.
    """

    name: str
    gt_mask: NDArray[np.bool_] | None
    inspection: Inspection
    peak_yx: tuple[int, int]
    auc: float | None

    @property
    def on_it(self) -> bool:
        """Whether the highest place of the map, the square that it was averaged over, lies on the manipulation.

        A quarter of it is enough: between the petals of a pasted flower is not beside the flower.
        """
        if self.gt_mask is None:
            return False
        around = tuple(slice(max(0, at - _PLACE_PX // 2), at + _PLACE_PX // 2 + 1) for at in self.peak_yx)
        return bool(self.gt_mask[around].mean() >= _ON_IT)

    @property
    def lit_share(self) -> float:
        """Share of the picture that the map puts at 0.5 or more."""
        return flagged_area(self.inspection.localization_map, 0.5)

    @property
    def outcome(self) -> str:
        """What it is an example of."""
        accused = self.inspection.verdict == "manipulated"
        if self.gt_mask is None:
            if accused:
                return "false alarm"
            return "false alarm of the map, not of the verdict" if self.lit_share > _CALM_SHARE else "calm"
        if self.on_it:
            return "hit" if accused else "hit of the map, missed by the verdict"
        return "accused for the wrong place" if accused else "miss"


def examine(detector: Detector, name: str) -> Case:
    """Run the model on one of the pictures."""
    mask_path = IMAGES / f"{name}.mask.png"
    gt_mask = read_mask(mask_path) if mask_path.exists() else None
    inspection = detector.inspect(read_image(IMAGES / f"{name}.jpg"))
    smooth = inspection.localization_map
    window = np.ones(_PLACE_PX) / _PLACE_PX
    for axis in (0, 1):
        smooth = np.apply_along_axis(np.convolve, axis, smooth, window, "same")
    row, column = np.unravel_index(int(np.argmax(smooth)), smooth.shape)
    auc = None if gt_mask is None else pixel_auc(inspection.localization_map, gt_mask)
    return Case(name, gt_mask, inspection, (int(row), int(column)), auc)


def picture_of(case: Case) -> Image.Image:
    """Picture, overlay with a ring around the highest place, and truth, side by side."""
    pixels = read_image(IMAGES / f"{case.name}.jpg").pixels
    found = case.inspection
    markings = mark_regions(found.regions, found.picture.size_hw)
    overlay = Image.fromarray(np.concatenate(list(overlay_bands(pixels, found.localization_map, markings))))
    row, column = case.peak_yx
    ring = [(column - 22, row - 22), (column + 22, row + 22)]
    ImageDraw.Draw(overlay).ellipse(ring, outline=_RING, width=5)
    truth = np.zeros(found.picture.size_hw, bool) if case.gt_mask is None else case.gt_mask
    panels = [Image.fromarray(pixels), overlay, Image.fromarray(truth).convert("RGB")]
    height = round(_PANEL_PX * panels[0].height / panels[0].width)
    sheet = Image.new("RGB", (3 * _PANEL_PX + 2 * _GAP_PX, height), "white")
    for number, panel in enumerate(panels):
        reduced = panel.resize((_PANEL_PX, height), Image.Resampling.LANCZOS)
        sheet.paste(reduced, (number * (_PANEL_PX + _GAP_PX), 0))
    return sheet


def words_of(case: Case) -> str:
    """The section about a case."""
    found = case.inspection
    kind = f"forged: {FORGED[case.name]}" if case.name in FORGED else "authentic"
    lit = case.lit_share >= _LEAST_SHARE
    amount = f"{100 * case.lit_share:.0f} % of the picture" if lit else "Nothing to speak of"
    share = f"{amount} is lit (0.5 or more)"
    if case.gt_mask is None:
        where = f" {share}, all of it by mistake." if lit else f" {share}."
    else:
        place = "on" if case.on_it else "beside"
        where = f" {share}; the highest place lies {place} the manipulation; pixel AUC {case.auc:.2f}."
    rate = found.false_alarm_rate
    alike = "" if rate is None else f" Of authentic pictures like it, {in_words(rate)} score as high."
    alt = f"The picture, the overlay with a ring around its highest place, and the truth: {kind}"
    return (
        f"### {case.outcome.capitalize()} ({kind})\n\n![{alt}](images/case-{case.name}.jpg)\n\n"
        f"Verdict: `{found.verdict}`.{alike}{where}\n"
    )


def section(cases: list[Case], detector: Detector) -> str:
    """What stands between the marks on the page."""
    forged = [case for case in cases if case.gt_mask is not None]
    authentic = [case for case in cases if case.gt_mask is None]
    forged.sort(key=lambda case: (not case.on_it, -(case.auc or 0)))
    authentic.sort(key=_score, reverse=True)
    higher = [one for one in authentic if _score(one) > min(_score(case) for case in forged)]
    found, right = sum(map(_accused, forged)), sum(case.on_it for case in forged)
    summary = (
        f"Of the {len(forged)} forgeries the verdict finds {found}, and on {right} the map's highest place is the\n"
        f"right one. Accused of the {len(authentic)} authentic pictures: {sum(map(_accused, authentic))}; "
        f"scored higher than the lowest forgery: {len(higher)}.\n"
    )
    witnesses = ", ".join(f"`{one.name}` ({one.sha256[:12]})" for one in cases[0].inspection.witnesses)
    made = f"Made by `make docs-pictures` with {witnesses} in {detector.precision}.\n"
    return "\n".join([summary, *(words_of(case) for case in (*forged, *authentic)), made])


def _accused(case: Case) -> bool:
    return case.inspection.verdict == "manipulated"


def _score(case: Case) -> float:
    return case.inspection.detection_score or 0.0


def main() -> None:
    """Write pictures and page."""
    detector = Detector.from_name()
    cases = [examine(detector, name) for name in (*FORGED, *AUTHENTIC)]
    for case in cases:
        picture_of(case).save(IMAGES / f"case-{case.name}.jpg", quality=82, optimize=True)
    picture_of(cases[0]).save(IMAGES / "example.jpg", quality=85, optimize=True)
    page = PAGE.read_text("utf-8")
    before, rest = page.split(START)
    _, after = rest.split(END)
    PAGE.write_text(f"{before}{START}\n{section(cases, detector)}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
