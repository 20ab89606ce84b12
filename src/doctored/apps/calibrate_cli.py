"""`doctored calibrate`: what the command is called with, and what it prints."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from doctored.apps.options import DEFAULT_MODEL
from doctored.apps.progress import ProgressBar

calibrate_app = typer.Typer(rich_markup_mode=None)


@calibrate_app.command()
def calibrate(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR", help="Folders of authentic pictures, with sub-folders.", show_default=False
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model", help="Name from 'doctored models', or the folder of a run or an exported model."
        ),
    ] = DEFAULT_MODEL,
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE", help="The calibration to write.")
    ] = Path("calibration.json"),
    split: Annotated[
        Path | None,
        typer.Option(
            "--split", metavar="CSV", help="Columns file and role: use those with the role 'calibration'."
        ),
    ] = None,
    variants: Annotated[
        bool,
        typer.Option(
            "--variants/--no-variants", help="Also judge smaller and re-saved versions of each picture."
        ),
    ] = True,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of these versions.")] = 0,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option("--precision", help="auto, int8, bf16 or fp32.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Overwrite --output.")] = False,
) -> None:
    """Measure what a model makes of authentic pictures, so that its scores get a meaning.

    Pictures that name an image editor, have a side under 256 pixels or cannot be read are left out and listed.
    A manifest.csv in a folder may give source and make of its files, so that no large source decides alone.
    The same call goes on where an earlier one was stopped. 'detect --calibration FILE' uses the result, and
    without that option the one named calibration.json in the folder of a model.

    \b
        doctored calibrate authentic --output mine.json
        doctored calibrate authentic --model models/mine --output models/mine/calibration.json
    """
    from doctored.apps.calibrate import CalibrationRun, check_output, unreadable
    from doctored.data.photographs import list_photographs, read_split, with_role
    from doctored.predict.detector import Detector, load_panel, load_witness

    check_output(output, force=force)
    photographs = [photograph for folder in folders for photograph in list_photographs(folder)]
    if split is not None:
        photographs = with_role(photographs, read_split(split), "calibration")
    detector = Detector(load_panel(model, partial(load_witness, device=device, precision=precision)))
    with ProgressBar("pictures") as bar:
        run = CalibrationRun(photographs, detector, output, variants, seed, bar.show)
        calibration = run.calibrate()
    for left_out in run.left_out:
        typer.echo(f"left out ({left_out.reason}): {left_out.detail}", err=True)
    groups = len({photograph.group for photograph in calibration.photographs})
    typer.echo(
        f"{output}: {len(calibration.photographs)} photographs of {groups} groups in "
        f"{len(calibration.entries)} versions; {len(run.left_out)} left out"
    )
    if unreadable(run.left_out):
        raise typer.Exit(1)
