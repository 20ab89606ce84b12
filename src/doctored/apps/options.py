"""Options that several commands share: the same name means the same everywhere."""

from pathlib import Path
from typing import Annotated

import typer


def positive(number: float) -> float:
    """Refuse what is not above 0."""
    if not number > 0:
        raise typer.BadParameter(f"give a number above 0; got {number:g}")
    return number


DEFAULT_MODEL = "both"
"""As `doctored.predict.detector.DEFAULT_MODEL`, which is slow to import."""

Pictures = Annotated[
    list[str],
    typer.Argument(
        metavar="PICTURE",
        help="Files or patterns; - reads paths from standard input.",
        show_default=False,
    ),
]
Model = Annotated[
    str,
    typer.Option("--model", help="Name from 'doctored models', or the folder of a run or an exported model."),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
Precision = Annotated[str, typer.Option("--precision", help="auto, int8, bf16 or fp32.")]
Tile = Annotated[
    int | None,
    typer.Option(
        "--tile",
        metavar="PX",
        help="Side of the tiles; ManTra-Net's result is the same.",
        show_default="auto",
    ),
]
Fpr = Annotated[
    float,
    typer.Option("--fpr", metavar="RATE", help="Accepted rate of false alarms; at or under it: manipulated."),
]
CalibrationFile = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        metavar="FILE",
        help="Made by 'doctored calibrate' for this model.",
        show_default="that of the model",
    ),
]
MaxMegapixels = Annotated[
    float, typer.Option("--max-mp", callback=positive, help="Refuse pictures of more megapixels.")
]
Isolate = Annotated[
    bool,
    typer.Option(
        "--isolate",
        help="Read picture files in a process without files, network, or much memory; Linux only.",
    ),
]
MaxMegabytes = Annotated[
    float, typer.Option("--max-mb", callback=positive, help="Refuse files of more megabytes.")
]
