"""A report as PDF pages: the content of the HTML page without what moves."""

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from doctored.apps.report.report import FailedSection, PictureSection, Report
from doctored.apps.report.views import CloseUp, View, colour_scale
from doctored.apps.report.wording import (
    FACTS_MEANING,
    MAP_MEANING,
    VERDICTS,
    WITNESS_MEANING,
    agreement_caption,
    place_title,
    preview_note,
)

if TYPE_CHECKING:
    from reportlab.platypus import Flowable

_MARGIN_MM = 18
_INK, _SOFT, _LINE = "#1b1d21", "#565b63", "#dcdee2"
_ACCENTS = {
    "manipulated": "#b3401c",
    "no_signs": "#46525f",
    "cannot_judge": "#7a6a2c",
    "failed": "#8f1d2c",
}
_FONT, _BOLD = "Vera", "VeraBd"
_TALLEST_MM = 95


def pdf_pages(report: Report) -> bytes:
    """The whole file.

    The font holds Latin letters only; others are written as escapes such as \\u4e2d, and show in the HTML form.
    """
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.units import mm
    from reportlab.platypus import SimpleDocTemplate

    file = io.BytesIO()
    document = SimpleDocTemplate(
        file,
        pagesize=A4,
        leftMargin=_MARGIN_MM * mm,
        rightMargin=_MARGIN_MM * mm,
        topMargin=_MARGIN_MM * mm,
        bottomMargin=_MARGIN_MM * mm,
        title="Image forensics report",
        author=f"doctored {report.origin.versions['doctored']}",
        invariant=1,
    )
    pages = _Pages(document.width)
    made_at = f"{report.origin.made_at:%Y-%m-%d %H:%M} UTC"

    def number_page(canvas: Any, document: Any) -> None:
        canvas.setFont(_FONT, 8)
        canvas.setFillColor(_SOFT)
        canvas.drawString(_MARGIN_MM * mm, 10 * mm, f"Image forensics report, {made_at}")
        canvas.drawRightString(A4[0] - _MARGIN_MM * mm, 10 * mm, f"Page {document.page}")

    document.build(list(pages.report(report, made_at)), onFirstPage=number_page, onLaterPages=number_page)
    return file.getvalue()


class _Pages:
    """Makes the parts of the pages, in order.

    Args:
        width: Of the text, in points.
    """

    def __init__(self, width: float) -> None:
        from reportlab.lib.styles import ParagraphStyle
        from reportlab.pdfbase import pdfmetrics
        from reportlab.pdfbase.ttfonts import TTFont

        self._width = width
        for name in (_FONT, _BOLD):
            pdfmetrics.registerFont(TTFont(name, f"{name}.ttf"))
        self._letters = pdfmetrics.getFont(_FONT).face.charToGlyph
        text = ParagraphStyle("text", fontName=_FONT, fontSize=9, leading=13.5, textColor=_INK, spaceAfter=5)
        self._styles = {
            "text": text,
            "note": ParagraphStyle("note", text, fontSize=8, leading=11.5, textColor=_SOFT),
            "head": ParagraphStyle("head", text, fontName=_BOLD, textColor=_SOFT),
            "name": ParagraphStyle(
                "name", text, fontName=_BOLD, fontSize=16, leading=20, spaceBefore=12, spaceAfter=8
            ),
            "caption": ParagraphStyle(
                "caption", text, fontSize=8, leading=11, textColor=_SOFT, spaceBefore=3
            ),
            "part": ParagraphStyle(
                "part", text, fontName=_BOLD, fontSize=11, leading=15, spaceBefore=12, keepWithNext=1
            ),
            "title": ParagraphStyle("title", text, fontName=_BOLD, spaceAfter=0),
            "quote": ParagraphStyle("quote", text, fontSize=12, leading=17, spaceAfter=0),
            "code": ParagraphStyle("code", text, fontName="Courier", fontSize=7.5, leading=11, spaceAfter=0),
            "cell": ParagraphStyle("cell", text, spaceAfter=0),
        }

    def report(self, report: Report, made_at: str) -> "Iterator[Flowable]":
        from reportlab.platypus import PageBreak

        yield self._text(f"Image forensics report, {made_at}", "head")
        if len(report.sections) > 1:
            rows = [(section.name, _verdict(section)[1]) for section in report.sections]
            yield self._table([[self._text(a, "cell"), self._text(b, "cell")] for a, b in rows], (0.65, 0.35))
        for number, section in enumerate(report.sections):
            if number:
                yield PageBreak()
            yield self._text(section.name, "name")
            if isinstance(section, PictureSection):
                yield from self._section(section)
            else:
                yield self._quote(section, f"{section.error}.")
        yield from self._origin(report)

    def _section(self, section: PictureSection) -> "Iterator[Flowable]":
        from reportlab.platypus import Spacer

        views, result = section.views, section.result
        yield self._quote(section, section.sentence)
        yield Spacer(1, 8)
        yield self._text(section.false_alarms)
        yield self._text("What was found, and where", "part")
        calm = "; calm everywhere" if views.calm else ""
        places = "Regions" if result["regions"] else "Places"
        size_wh = result["picture"]["width"], result["picture"]["height"]
        yield self._figures(
            [
                (self._image(views.original), "Picture, upright, as it was read"),
                (self._image(views.overlay), "Overlay: the map over the picture in grey"),
                (self._image(views.map), f"Map: highest value {views.highest:.2f}{calm}"),
                (
                    self._image(views.places, views.close_ups, size_wh),
                    f"{places} with the numbers of the close-ups"
                    if views.close_ups
                    else f"{places}: none to look at closely",
                ),
            ]
        )
        yield self._text(preview_note(*size_wh, views.factor), "note")
        yield from self._legend()
        yield from self._close_ups(section)
        yield from self._witnesses(section)
        yield self._text("What the file says", "part")
        yield self._text(FACTS_MEANING, "note")
        yield self._facts(section.evidence.sentences())
        if views.thumbnail is not None:
            thumbnail, picture = views.thumbnail
            yield Spacer(1, 6)
            yield self._figures(
                [
                    (self._image(thumbnail), "Embedded thumbnail"),
                    (self._image(picture), "The picture, reduced"),
                ],
                columns=4,
            )
        for title, sentences in (
            ("What could mislead", section.misleading),
            ("What was not checked", section.not_checked),
        ):
            yield self._text(title, "part")
            yield self._list(sentences)

    def _legend(self) -> "Iterator[Flowable]":
        from reportlab.platypus import Image

        scale = colour_scale()
        yield Image(io.BytesIO(scale.data), self._width / 2, 8, hAlign="LEFT")
        ticks = ["0 calm", "0.2", "0.4", "0.6", "0.8", "1 suspicious"]
        labels = [self._text(tick, "note") for tick in ticks]
        yield self._table([labels], [0.1, 0.1, 0.1, 0.1, 0.1, 0.2], lines=False)
        yield self._text(MAP_MEANING, "note")

    def _close_ups(self, section: PictureSection) -> "Iterator[Flowable]":
        views = section.views
        if not views.close_ups:
            return
        yield self._text("Close-ups", "part")
        figures = []
        for number, close_up in enumerate(views.close_ups, 1):
            x1, y1, x2, y2 = close_up.region_box_xyxy
            score = f"score {close_up.region['score']:.2f}; " if close_up.region else ""
            caption = (
                f"{place_title(number, close_up.region)}; {score}{x2 - x1} x {y2 - y1} pixels at {x1}, {y1}; "
                f"map {close_up.mean:.2f} in the mean, {close_up.highest:.2f} at most"
            )
            figures.append((self._image(close_up.picture), caption))
            figures.append((self._image(close_up.overlay), "Its overlay"))
        yield self._figures(figures, columns=4)

    def _witnesses(self, section: PictureSection) -> "Iterator[Flowable]":
        views, witnesses = section.views, section.result["witnesses"]
        yield self._text("Witness" if len(witnesses) == 1 else "Witnesses", "part")
        rows = [
            [self._text(title, "note") for title in ("Model", "Raw score", "Scale", "SHA-256 of its weights")]
        ]
        for witness in witnesses:
            cells = [witness["name"], f"{witness['raw_score']:.4f}", f"{witness['scale']:.2f}"]
            rows.append(
                [*(self._text(cell, "cell") for cell in cells), self._text(witness["sha256"], "code")]
            )
        yield self._table(rows, (0.18, 0.11, 0.08, 0.63))
        yield self._text(WITNESS_MEANING, "note")
        if not views.witness_maps:
            return
        figures = [
            (self._image(view), f"{witness['name']}: its own map")
            for view, witness in zip(views.witness_maps, witnesses, strict=True)
        ]
        if views.agreement is not None:
            caption = agreement_caption(views.agreement, [witness["name"] for witness in witnesses])
            figures.append((self._image(views.agreement.view), f"Where they agree: {caption}"))
        yield self._figures(figures, columns=3)

    def _origin(self, report: Report) -> "Iterator[Flowable]":
        origin = report.origin
        yield self._text("How to get this report again", "part")
        if origin.command:
            yield self._text(origin.command, "code")
        facts = [(f"Model {name}", sha256) for name, sha256 in origin.models]
        facts.append(("Computed in", origin.precision))
        facts += [("Calibration", sha256) for sha256 in origin.calibrations] or [("Calibration", "none")]
        versions = ", ".join(f"{name} {version}" for name, version in origin.versions.items())
        yield self._facts([*facts, ("Versions", versions)])

    def _quote(self, section: PictureSection | FailedSection, sentence: str) -> "Flowable":
        from reportlab.platypus import Table

        kind, title = _verdict(section)
        accent = _ACCENTS[kind]
        table = Table(
            [[[self._text(title, "title", accent), self._text(sentence, "quote")]]], colWidths=[self._width]
        )
        table.setStyle([("LINEBEFORE", (0, 0), (0, -1), 3, accent), ("LEFTPADDING", (0, 0), (-1, -1), 10)])
        return table

    def _facts(self, facts: Sequence[tuple[str, str]]) -> "Flowable":
        rows = []
        for title, text in facts:
            is_hash = len(text) == 64 and " " not in text
            rows.append([self._text(title, "title"), self._text(text, "code" if is_hash else "cell")])
        return self._table(rows, (0.24, 0.76))

    def _list(self, sentences: Sequence[str]) -> "Flowable":
        from reportlab.platypus import ListFlowable

        items = [self._text(sentence) for sentence in sentences]
        return ListFlowable(items, bulletType="bullet", start="•", leftIndent=10, bulletFontSize=8)

    def _figures(self, figures: "Sequence[tuple[Flowable, str]]", columns: int = 2) -> "Flowable":
        """Pictures in rows, each above its caption."""
        cells: list[Any] = [[image, self._text(caption, "caption")] for image, caption in figures]
        cells += [""] * (-len(cells) % columns)
        gap = 8
        for image, _ in figures:
            image.fit(self._width / columns - gap)
        rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
        return self._table(rows, [1 / columns] * columns, lines=False)

    def _table(
        self, rows: Sequence[Sequence[Any]], shares: Sequence[float], lines: bool = True
    ) -> "Flowable":
        from reportlab.platypus import Table

        table = Table(rows, colWidths=[share * self._width for share in shares], hAlign="LEFT")
        style: list[tuple[Any, ...]] = [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ]
        if lines:
            style.append(("LINEBELOW", (0, 0), (-1, -1), 0.5, _LINE))
        table.setStyle(style)
        return table

    def _image(
        self, view: View, close_ups: Sequence[CloseUp] = (), size_wh: tuple[int, int] = (1, 1)
    ) -> "Flowable":
        from reportlab.lib.units import mm
        from reportlab.platypus import Image

        class BoxedImage(Image):
            """A picture of bounded size, with the boxes of close-ups drawn on it."""

            def fit(self, width: float) -> None:
                scale = min(width / view.width, _TALLEST_MM * mm / view.height)
                self.drawWidth, self.drawHeight = view.width * scale, view.height * scale
                self.hAlign = "LEFT"

            def draw(self) -> None:
                super().draw()
                across, up = self.drawWidth / size_wh[0], self.drawHeight / size_wh[1]
                for number, close_up in enumerate(close_ups, 1):
                    x1, y1, x2, y2 = close_up.region_box_xyxy
                    box = x1 * across, self.drawHeight - y2 * up, (x2 - x1) * across, (y2 - y1) * up
                    for colour, line_width in (("#000000", 2.2), ("#ffffff", 1)):
                        self.canv.setStrokeColor(colour)
                        self.canv.setLineWidth(line_width)
                        self.canv.rect(*box)
                    label = box[0], box[1] + box[3] - 10
                    self.canv.setFillColor("#000000")
                    self.canv.rect(*label, 9, 10, stroke=0, fill=1)
                    self.canv.setFillColor("#ffffff")
                    self.canv.setFont(_BOLD, 8)
                    self.canv.drawString(label[0] + 2, label[1] + 2, str(number))

        return BoxedImage(io.BytesIO(view.data))

    def _text(self, text: str, style: str = "text", colour: str | None = None) -> "Flowable":
        from reportlab.lib.styles import ParagraphStyle
        from reportlab.platypus import Paragraph

        chosen = self._styles[style]
        if colour is not None:
            chosen = ParagraphStyle(style, chosen, textColor=colour)
        known = "".join(
            c if ord(c) in self._letters else c.encode("ascii", "backslashreplace").decode() for c in text
        )
        return Paragraph(escape(known), chosen)


def _verdict(section: PictureSection | FailedSection) -> tuple[str, str]:
    """Kind and words of a section's verdict."""
    if isinstance(section, FailedSection):
        return "failed", "Could not be analysed"
    verdict = section.result["verdict"]
    return verdict, VERDICTS[verdict]
