"""Draws docs/figures/*.svg, the figures of how both networks work; with --check, only says whether they are up to date.

What can come from the code does: kernels, classes, anchors, window means. Needs `pip install 'doctored[train]'`.
"""

import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
import torch

from doctored.core.imc_classes import IMC_CLASSES, IMC_LEVELS
from doctored.layers.box_mean import box_mean
from doctored.layers.constrained_conv import project_prediction_error
from doctored.layers.srm import srm_kernels
from doctored.models.constrained_rcnn.anchors import cell_anchors
from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings
from doctored.models.mantranet.settings import ManTraNetSettings

FIGURES = Path(__file__).with_name("figures")
WIDTH = 760
_INK, _MUTED, _PAPER, _LINE = "#1d2733", "#5b6876", "#fbfbf9", "#8a97a5"
_FIXED, _LEARNED, _PLAIN, _RESULT = "#dfe8f1", "#fde9c9", "#eef1f4", "#f8d3cb"


class Drawing:
    """An SVG picture that is put together from the top left; it has a title for those who cannot see it."""

    def __init__(self, height: int, title: str) -> None:
        self.height, self.title, self.parts = height, title, []

    def box(self, x: float, y: float, w: float, h: float, fill: str = _PLAIN, stroke: str = _LINE) -> None:
        """A rectangle with round corners."""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="6" fill="{fill}" stroke="{stroke}"/>'
        )

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: int = 13,
        colour: str = _INK,
        anchor: str = "middle",
        **style: str,
    ) -> None:
        """A line of text, its baseline at y."""
        more = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in style.items())
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{colour}" text-anchor="{anchor}"{more}>'
            f"{escape(words)}</text>"
        )

    def heading(self, y: float, words: str, code: str) -> None:
        """What a row of steps is called there, and at the right end here."""
        self.text(20, y, words, anchor="start", font_weight="600")
        self.text(740, y, code, 11, _MUTED, "end", font_family="ui-monospace, monospace")

    def step(
        self, x: float, y: float, w: float, words: str, code: str, fill: str = _PLAIN, h: float = 62
    ) -> None:
        """A box of the paper's figure: its name there, and below it the name here."""
        self.box(x, y, w, h, fill)
        lines = words.split("|")
        top = y + h / 2 - 8 * (len(lines) - 1) - (4 if code else -5)
        for number, line in enumerate(lines):
            self.text(x + w / 2, top + 16 * number, line, 12, font_weight="600")
        if code:
            for number, line in enumerate(code.split("|")):
                below = top + 16 * len(lines) + 13 * number
                self.text(x + w / 2, below, line, 11, _MUTED, font_family="ui-monospace, monospace")

    def arrow(self, points: Sequence[tuple[float, float]], dashed: bool = False) -> None:
        """A line through some points with a head at the last."""
        path = " ".join(f"{'L' if number else 'M'}{x:g} {y:g}" for number, (x, y) in enumerate(points))
        dash = ' stroke-dasharray="4 4"' if dashed else ""
        self.parts.append(
            f'<path d="{path}" fill="none" stroke="{_INK}" stroke-width="1.4"{dash} marker-end="url(#head)"/>'
        )

    def line(
        self, xs: Sequence[float], ys: Sequence[float], colour: str, width: float = 1.6, dash: str = ""
    ) -> None:
        """A curve."""
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width:g}"{dashes}/>'
        )

    def kernel(self, x: float, y: float, kernel: torch.Tensor, side: float = 17) -> None:
        """The weights of a 2-D filter as squares: blue below zero, orange above."""
        largest = float(kernel.abs().max())
        for row, values in enumerate(kernel.tolist()):
            for column, value in enumerate(values):
                share = abs(value) / largest
                end = (214, 96, 30) if value > 0 else (40, 96, 170)
                red, green, blue = (round(255 + (channel - 255) * share) for channel in end)
                self.parts.append(
                    f'<rect x="{x + side * column:g}" y="{y + side * row:g}" width="{side:g}" height="{side:g}" '
                    f'fill="rgb({red},{green},{blue})" stroke="{_LINE}" stroke-width="0.5"/>'
                )

    def svg(self) -> str:
        """The whole file."""
        head = (
            '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            f'<path d="M0 0L8 4L0 8z" fill="{_INK}"/></marker>'
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" width="{WIDTH}" '
            f'height="{self.height}" role="img" font-family="system-ui, sans-serif">\n'
            f"<title>{escape(self.title)}</title>\n<defs>{head}</defs>\n"
            f'<rect width="{WIDTH}" height="{self.height}" rx="8" fill="{_PAPER}"/>\n'
            + "\n".join(self.parts)
            + "\n</svg>\n"
        )


def mantranet() -> Drawing:
    """The whole of ManTra-Net."""
    shape = ManTraNetSettings()
    draw = Drawing(300, "ManTra-Net: from a picture through trace features and Z scores to a map")
    draw.heading(28, "Image manipulation trace feature extractor", "models.mantranet.imtfe.IMTFE")
    draw.step(20, 42, 92, "picture", "H x W x 3", _RESULT)
    draw.step(140, 42, 158, "first layer|5 x 5", "CombinedConv2d", _FIXED, 74)
    draw.step(326, 42, 158, "12 convolutions|3 x 3, no pooling", "b1c2 .. transform", _LEARNED, 74)
    draw.step(512, 42, 118, "unit length", "F.normalize", _PLAIN)
    draw.step(658, 42, 82, "traces", f"H x W x {shape.feature_channels}", _RESULT)
    for left, right in ((112, 140), (298, 326), (484, 512), (630, 658)):
        draw.arrow([(left, 73), (right, 73)])
    draw.heading(164, "Local anomaly detection network", "models.mantranet.ladn.LADN")
    draw.arrow([(699, 104), (699, 138), (8, 138), (8, 217), (20, 217)])
    channels = shape.adapted_channels
    draw.step(20, 180, 112, "adaptation", f"adapt: {channels} wide", _LEARNED, 74)
    windows = ", ".join(map(str, shape.window_sizes))
    draw.step(160, 180, 190, f"Z scores|{windows} px, all", "z_scores, box_mean", _FIXED, 74)
    draw.step(378, 180, 136, "near to far", "ConvLSTM2d", _LEARNED, 74)
    draw.step(542, 180, 92, "decision", "pred, 7 x 7", _LEARNED, 74)
    draw.step(662, 180, 78, "map", "H x W", _RESULT, 74)
    for left, right in ((132, 160), (350, 378), (514, 542), (634, 662)):
        draw.arrow([(left, 217), (right, 217)])
    _legend(draw, 278)
    return draw


def _legend(draw: Drawing, y: float) -> None:
    x = 20.0
    for words, fill in (
        ("learned", _LEARNED),
        ("fixed, or partly fixed", _FIXED),
        ("arithmetic", _PLAIN),
        ("data", _RESULT),
    ):
        draw.box(x, y - 11, 16, 14, fill)
        draw.text(x + 22, y, words, 12, _MUTED, "start")
        x += 40 + 7.2 * len(words)


def first_layer() -> Drawing:
    """The three kinds of filters of ManTra-Net's first layer."""
    draw = Drawing(
        214, "Filters of the first layer: plain ones, three SRM shapes for each colour, and constrained ones"
    )
    rng = np.random.default_rng(4)
    plain = torch.tensor(rng.normal(size=(5, 5)))
    draw.text(75, 30, "4 plain", font_weight="600")
    draw.kernel(32, 44, plain)
    draw.text(75, 150, "any weights,", 12, _MUTED)
    draw.text(75, 167, "all three colours", 12, _MUTED)
    draw.text(325, 30, "9 SRM: 3 shapes for each colour, fixed", font_weight="600")
    names = ("second order", "KV", "horizontal")
    for number, name in enumerate(names):
        draw.kernel(170 + 118 * number, 44, srm_kernels()[3 * number, 0])
        draw.text(212 + 118 * number, 150, name, 12, _MUTED)
    draw.text(325, 167, "layers.srm.srm_kernels", 11, _MUTED, font_family="ui-monospace, monospace")
    draw.text(640, 30, "3 constrained, learned", font_weight="600")
    constrained = project_prediction_error(torch.tensor(rng.random((1, 1, 5, 5))))
    draw.kernel(598, 44, constrained[0, 0])
    draw.text(640, 150, "middle -1, the rest sums to 1", 12, _MUTED)
    draw.text(640, 167, "layers.constrained_conv", 11, _MUTED, font_family="ui-monospace, monospace")
    legend = "blue below zero, orange above, white zero; all but the plain ones sum to 0 and are blind to flat areas"
    draw.text(380, 199, legend, 12, _MUTED)
    return draw


def classes() -> Drawing:
    """The 385 manipulations by family, and the levels at which they are told apart."""
    draw = Drawing(224, "385 manipulations: how many in each family, and the six levels of groups")
    families: dict[str, int] = {}
    for one in IMC_CLASSES:
        families[one.family] = families.get(one.family, 0) + 1
    x, scale = 20.0, 720 / len(IMC_CLASSES)
    draw.text(
        20,
        28,
        f"{len(IMC_CLASSES)} manipulations in {len(families)} families",
        anchor="start",
        font_weight="600",
    )
    for number, (family, count) in enumerate(families.items()):
        draw.box(x, 42, count * scale, 40, (_LEARNED, _FIXED)[number % 2])
        if count > 40:
            draw.text(x + count * scale / 2, 60, family, 12)
            draw.text(x + count * scale / 2, 75, str(count), 11, _MUTED)
        x += count * scale
    small = ", ".join(f"{family} {count}" for family, count in families.items() if count <= 40)
    draw.text(740, 100, f"the narrow ones: {small}", 12, _MUTED, "end")
    draw.heading(128, "one head, a loss at every level", "models.imc_head.imc_loss")
    for number, level in enumerate(IMC_LEVELS):
        left = 20 + number * 122
        draw.step(
            left,
            142,
            98,
            str(level),
            ("families", "types", "halves", "quarters", "eighths", "classes")[number],
        )
        if number:
            draw.arrow([(left - 24, 173), (left, 173)])
    return draw


def z_scores() -> Drawing:
    """What a window mean and a Z score are, computed on one row of one channel."""
    draw = Drawing(
        330, "One channel along a row of pixels: its window means, and how far it deviates from each"
    )
    rng = np.random.default_rng(7)
    length = 200
    signal = rng.normal(0, 0.35, length).cumsum() * 0.05 + rng.normal(0, 0.25, length)
    signal[112:142] += 1.5
    row = torch.tensor(signal).reshape(1, 1, 1, -1)  # float64: the same drawing on every machine
    sizes = ManTraNetSettings().window_sizes
    means = {f"{size} px": box_mean(row.expand(1, 1, size, length), size)[0, 0, size // 2] for size in sizes}
    means["whole picture"] = row.mean().expand(length)
    colours = dict(zip(means, ("#2e7d5b", "#2860aa", "#8a4fbf", "#c4551e"), strict=True))
    xs = np.linspace(20, 740, length)
    draw.parts.append(
        f'<rect x="{xs[112]:.1f}" y="34" width="{xs[142] - xs[112]:.1f}" height="262" fill="{_RESULT}"/>'
    )
    draw.text(20, 26, "one channel of the adapted map, and its means", anchor="start", font_weight="600")
    draw.text(float(xs[127]), 310, "manipulated", 12, _MUTED)

    def height(values: np.ndarray, low: float, high: float, bottom: float, span: float) -> np.ndarray:
        return bottom - (values - low) / (high - low) * span

    low, high = float(signal.min()), float(signal.max())
    draw.line(xs, height(signal, low, high, 140, 100), _LINE, 1)
    for name, mean in means.items():
        draw.line(xs, height(mean.numpy(), low, high, 140, 100), colours[name])
    sigma = float(row.std(correction=0))
    scores = {name: ((mean - row[0, 0, 0]) / sigma).abs().numpy() for name, mean in means.items()}
    draw.text(20, 172, "Z scores: |mean - value| / sigma of the picture", anchor="start", font_weight="600")
    # Smoothed for the eye alone: the network sees every pixel.
    for name, score in scores.items():
        smooth = np.convolve(np.pad(score, 4, mode="edge"), np.ones(9) / 9, mode="valid")
        draw.line(xs, height(smooth, 0, 2.4, 296, 110), colours[name])
    x = 384.0
    for name, colour in colours.items():
        draw.line([x, x + 22], [22, 22], colour, 3)
        draw.text(x + 28, 26, name, 12, _MUTED, "start")
        x += 50 + 6.6 * len(name)
    return draw


def tiles() -> Drawing:
    """Two passes of tiles with halos."""
    shape = ManTraNetSettings()
    draw = Drawing(
        236,
        "Exact tiling: two passes over tiles with halos, and statistics of the whole picture between them",
    )
    for left, halo, words, code in (
        (20, shape.feature_halo_px, "pass 1: traces, adapted", "FeaturePass"),
        (520, shape.anomaly_halo_px, "pass 2: Z scores, map", "AnomalyPass"),
    ):
        draw.text(left + 110, 28, words, font_weight="600")
        draw.box(left, 42, 220, 150, "#ffffff")
        for step in (1, 2):
            draw.line([left + 220 * step / 3] * 2, [42, 192], _LINE, 1)
        draw.line([left, left + 220], [117, 117], _LINE, 1)
        reach = halo * 0.7
        draw.parts.append(
            f'<rect x="{left + 220 / 3 - reach:.1f}" y="{117 - reach:.1f}" width="{220 / 3 + 2 * reach:.1f}" '
            f'height="{75 + reach:.1f}" fill="{_LEARNED}" fill-opacity=".8" stroke="{_INK}" stroke-dasharray="4 3"/>'
        )
        kept = f'x="{left + 220 / 3:.1f}" y="117" width="{220 / 3:.1f}" height="75"'
        draw.parts.append(f'<rect {kept} fill="{_RESULT}" stroke="{_INK}"/>')
        draw.text(left + 110, 160, "kept", 12)
        draw.text(left + 110, 212, f"seen: {halo} px more on each side", 12, _MUTED)
        draw.text(
            left + 110,
            228,
            f"passes.{code}",
            11,
            _MUTED,
            font_family="ui-monospace, monospace",
        )
    draw.step(290, 84, 180, "mean and sigma|of the whole picture", "float64 sums", _FIXED, 74)
    draw.arrow([(240, 121), (290, 121)])
    draw.arrow([(470, 121), (520, 121)])
    return draw


def constrained_rcnn() -> Drawing:
    """The whole of Constrained R-CNN."""
    draw = Drawing(
        420,
        "Constrained R-CNN: constrained convolution, backbone, proposals, boxes with techniques, and masks",
    )
    draw.heading(28, "Learnable manipulation feature extractor", "models.constrained_rcnn.trunk.Trunk")
    draw.step(20, 42, 86, "picture", "H x W x 3", _RESULT)
    draw.step(134, 42, 140, "constrained|convolution", "ConstrainedConv2d", _FIXED, 74)
    draw.step(302, 42, 124, "conv_1x|conv_2x", "conv1, block1", _LEARNED, 74)
    draw.step(454, 42, 124, "conv_3x", "block2, stride 16", _LEARNED, 74)
    draw.step(606, 42, 134, "conv_4x", "block3", _LEARNED, 74)
    for left, right in ((106, 134), (274, 302), (426, 454), (578, 606)):
        draw.arrow([(left, 73), (right, 73)])
    draw.text(20, 166, "Stage 1: boxes and techniques", anchor="start", font_weight="600")
    draw.step(570, 182, 170, "RPN-A with attention", "AttentionRPN, CBAM", _LEARNED)
    draw.step(384, 182, 124, "proposals", "propose, anchors", _PLAIN)
    draw.step(216, 182, 132, "RoI Align", "crop_rois, 7 x 7", _PLAIN)
    draw.step(50, 182, 130, "conv_5x, scores", "BoxHead", _LEARNED)
    draw.arrow([(673, 116), (673, 182)])
    for left, right in ((570, 508), (384, 348), (216, 180)):
        draw.arrow([(left, 213), (right, 213)])
    draw.arrow([(626, 116), (626, 140), (300, 140), (300, 182)])
    draw.text(20, 288, "Stage 2: a mask in each of the surest boxes", anchor="start", font_weight="600")
    draw.step(454, 306, 150, "skip structure", "SkipFusion, 1 x 1", _LEARNED)
    draw.step(290, 306, 128, "RoI Align", "crop_rois, 7 x 7", _PLAIN)
    draw.step(132, 306, 122, "conv_5x, mask", "MaskHead, 14 x 14", _LEARNED)
    draw.step(20, 306, 76, "regions", "paste", _RESULT)
    draw.arrow([(538, 116), (538, 306)])
    draw.arrow([(690, 244), (690, 337), (604, 337)])
    for left, right in ((454, 418), (290, 254), (132, 96)):
        draw.arrow([(left, 337), (right, 337)])
    draw.arrow([(115, 244), (115, 266), (354, 266), (354, 306)], dashed=True)
    draw.text(128, 260, "surest_regions guide the masks", 11, _MUTED, "start")
    _legend(draw, 402)
    return draw


def attention() -> Drawing:
    """CBAM in the region proposal network."""
    draw = Drawing(
        196, "Attention: channels are scaled by what they hold at most and on average, then places likewise"
    )
    draw.step(20, 66, 96, "features", "H x W x C", _RESULT)
    draw.step(156, 20, 190, "pooled over places", "channel_map: mlp_1, mlp_2", _LEARNED)
    draw.step(420, 20, 200, "pooled over channels", "spatial_map: 7 x 7", _LEARNED)
    draw.text(251, 116, "x", 20)
    draw.text(520, 116, "x", 20)
    draw.step(650, 66, 90, "attended", "H x W x C", _RESULT)
    draw.arrow([(68, 66), (68, 51), (156, 51)])
    draw.arrow([(251, 82), (251, 100)])
    draw.arrow([(116, 110), (242, 110)])
    draw.arrow([(260, 110), (511, 110)])
    draw.arrow([(386, 110), (386, 51), (420, 51)])
    draw.arrow([(520, 82), (520, 100)])
    draw.arrow([(529, 110), (650, 110)])
    draw.text(380, 158, "layers.cbam.CBAM, by the maximum and the mean each time.", 12, _MUTED)
    released = (
        "With compat as in the released code: places by the features themselves, a second ReLU for channels."
    )
    draw.text(380, 176, released, 12, _MUTED)
    return draw


def anchors() -> Drawing:
    """The anchors of one cell, to scale."""
    settings = ConstrainedRCNNSettings()
    draw = Drawing(330, "Anchors of one cell of 16 pixels, drawn to scale in a picture of 1000 x 700 pixels")
    scale, left, top = 0.4, 20.0, 36.0
    draw.text(
        20,
        24,
        "a picture of 1000 x 700 px, one cell of conv_4x and its anchors",
        anchor="start",
        font_weight="600",
    )
    draw.box(left, top, 1000 * scale, 700 * scale, "#ffffff")
    cells = cell_anchors(settings.anchor_scales, settings.pixel_end) + torch.tensor(
        [496.0, 336.0, 496.0, 336.0]
    )
    per_ratio = len(settings.anchor_scales)
    for number, (x1, y1, x2, y2) in enumerate(cells.tolist()):
        colour = ("#c4551e", "#2860aa", "#2e7d5b")[number // per_ratio]
        x1, x2 = max(0.0, x1), min(1000.0, x2)
        y1, y2 = max(0.0, y1), min(700.0, y2)
        draw.parts.append(
            f'<rect x="{left + x1 * scale:.1f}" y="{top + y1 * scale:.1f}" width="{(x2 - x1) * scale:.1f}" '
            f'height="{(y2 - y1) * scale:.1f}" fill="none" stroke="{colour}" stroke-width="1.3"/>'
        )
    sides = ", ".join(str(16 * one) for one in settings.anchor_scales)
    lines = [
        f"{len(cells)} anchors for each cell:",
        "three shapes (2:1, 1:1, 1:2)",
        f"at sides of {sides} px.",
        "The largest reach over the border.",
        "",
        "The region proposal network says",
        "of each whether a manipulated",
        "region is near, and how the anchor",
        "has to be moved to fit it.",
        "",
        "The authors' weights have sides of",
        "128, 256, 512, 1024 px, on pictures",
        "enlarged to a short side of 600 px.",
    ]
    for number, line in enumerate(lines):
        draw.text(446, 62 + 19 * number, line, anchor="start")
    return draw


DRAWINGS = (mantranet, first_layer, classes, z_scores, tiles, constrained_rcnn, attention, anchors)


def files() -> dict[Path, str]:
    """Path and content of every figure."""
    return {FIGURES / f"{drawing.__name__.replace('_', '-')}.svg": drawing().svg() for drawing in DRAWINGS}


def main() -> None:
    """Write the figures, or compare them."""
    drawn = files()
    if sys.argv[1:] == ["--check"]:
        stale = [
            path.name for path, svg in drawn.items() if not path.exists() or path.read_text("utf-8") != svg
        ]
        if stale:
            sys.exit(f"docs/figures/{stale[0]} is out of date; run: make docs")
    else:
        FIGURES.mkdir(exist_ok=True)
        for path, svg in drawn.items():
            path.write_text(svg, "utf-8")


if __name__ == "__main__":
    main()
