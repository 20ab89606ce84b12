"""The `doctored` command: what it is called with, what it prints, and how it ends.

Everything that is slow to load is imported inside the command that needs it, so that `--help` answers at once.
"""

import errno
import io
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

import doctored
from doctored.apps.calibrate_cli import calibrate_app
from doctored.apps.data_cli import data_app
from doctored.apps.evaluate_cli import evaluate_app
from doctored.apps.forge_cli import forge_app
from doctored.apps.options import (
    DEFAULT_MODEL,
    CalibrationFile,
    Device,
    Fpr,
    Isolate,
    MaxMegabytes,
    MaxMegapixels,
    Model,
    Pictures,
    Precision,
    Tile,
)
from doctored.apps.progress import ProgressBar
from doctored.apps.report_cli import report_app
from doctored.apps.results_cli import results_app
from doctored.apps.scan_cli import scan_app
from doctored.apps.serve_cli import serve_app
from doctored.apps.train_cli import train_app
from doctored.core.errors import ConfigError, DoctoredError, MissingExtraError

# Which extra brings a package that a command may find missing.
_EXTRA_OF_PACKAGE = {
    "cv2": "train",
    "fastapi": "web",
    "fsspec": "remote",
    "h5py": "convert",
    "lightning_fabric": "train",
    "matplotlib": "eval",
    "nncf": "train",
    "pi_heif": "heif",
    "pyarrow": "eval",
    "python_multipart": "web",
    "pywt": "train",
    "ray": "cluster",
    "reportlab": "pdf",
    "safetensors": "train",
    "tensorboard": "train",
    "skimage": "train",
    "sklearn": "eval",
    "torch": "train",
    "torchvision": "train",
    "uvicorn": "web",
}
_DISK_ERRORS = frozenset(
    {
        *(errno.EACCES, errno.EEXIST, errno.EFBIG, errno.EISDIR, errno.ENOENT, errno.ENOSPC, errno.ENOTDIR),
        *(errno.ENAMETOOLONG, errno.EPERM, errno.EROFS),
    }
)
# What the loader of the operating system says.
_LIBRARY_WITHOUT_MEMORY = ("failed to map segment", "cannot allocate memory", "Cannot allocate memory")


class _Commands(TyperGroup):
    """Commands whose expected failures are one sentence and an exit status, never a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            _fail(error, status=2)
        except DoctoredError as error:
            _fail(error)
        except ModuleNotFoundError as error:
            extra = _EXTRA_OF_PACKAGE.get((error.name or "").split(".")[0])
            if extra is None:
                raise
            _fail(MissingExtraError(f"doctored {ctx.invoked_subcommand}", extra))
        except MemoryError as error:
            _fail(_too_little_memory(ctx.invoked_subcommand), cause=error)
        except OSError as error:
            # What a command has not put into words itself: a disk that is full or refuses, a file in the way.
            if error.errno not in _DISK_ERRORS:
                raise
            _fail(_refused_by_disk(error), cause=error)
        except ImportError as error:
            if not any(words in str(error) for words in _LIBRARY_WITHOUT_MEMORY):
                raise
            _fail(_too_little_memory(ctx.invoked_subcommand), cause=error)


def _fail(error: Exception, status: int = 1, cause: Exception | None = None) -> NoReturn:
    typer.echo(f"Error: {error}", err=True)
    raise typer.Exit(status) from cause or error


def _refused_by_disk(error: OSError) -> DoctoredError:
    # Opening a file tells its name, writing into it does not.
    name = "a file" if error.filename is None else os.fsdecode(error.filename)
    return DoctoredError(
        f"{name} cannot be opened or written ({error.strerror}); make room, allow it, or choose another place"
    )


def _too_little_memory(command: str | None) -> DoctoredError:
    return DoctoredError(
        f"doctored {command} needs more memory than is free, or than this process may use (see ulimit -v); close "
        "other programs, or allow more"
    )


_OPTIONS: dict[str, Any] = {
    "add_completion": False,
    "no_args_is_help": True,
    # Help drawn with boxes costs a quarter of a second, and its examples would lose their line breaks.
    "rich_markup_mode": None,
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
app = typer.Typer(cls=_Commands, **_OPTIONS)
weights_app = typer.Typer(**_OPTIONS)
app.add_typer(scan_app)
app.add_typer(results_app, name="results")
app.add_typer(report_app)
app.add_typer(serve_app)
app.add_typer(train_app, name="train")
app.add_typer(forge_app)
app.add_typer(evaluate_app)
app.add_typer(calibrate_app)
app.add_typer(data_app, name="data")
app.add_typer(weights_app, name="weights")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class OutputClosedError(DoctoredError):
    """There is nowhere to print results to."""


class _ClosedOutput(io.TextIOBase):
    """Standard output where the caller has closed it: without it, results would be lost in silence."""

    def write(self, text: str) -> int:
        raise OutputClosedError("standard output is closed, so no result can be printed; send it to a file")


def main() -> None:
    """Run the command on the arguments of this process."""
    if sys.stdout is None:
        sys.stdout = _ClosedOutput()
    for stream in (sys.stdout, sys.stderr):
        # A terminal that knows fewer letters than a file name has gets escapes instead of an error.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="doctored")
    except OutputClosedError as error:  # what is printed before a command is called, such as help
        typer.echo(f"Error: {error}", err=True)
        sys.exit(1)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"doctored {doctored.__version__}")
        raise typer.Exit


@app.callback()
def doctored_command(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Has this photo been doctored? Where, and how?

    Results go to standard output, everything else to standard error. The exit status is 0 if all went well,
    1 if something failed, 2 if the command was called wrongly; finding a forgery is not a failure.
    """


@app.command()
def detect(
    pictures: Pictures,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="DIR", help="Write overlay, maps and JSON of each picture here."),
    ] = None,
    as_json: AsJson = False,
    device: Device = "auto",
    model: Model = DEFAULT_MODEL,
    tile: Tile = None,
    precision: Precision = "auto",
    fpr: Fpr = 0.05,
    calibration: CalibrationFile = None,
    max_mp: MaxMegapixels = 400,
    max_mb: MaxMegabytes = 500,
    isolate: Isolate = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite results in --output.")] = False,
) -> None:
    """Say of each picture whether it was manipulated, and where.

    \b
        doctored detect photo.jpg --output out
        doctored detect --json *.jpg > results.jsonl
    """
    from doctored.apps.detect import Batch, list_inputs, results, summary
    from doctored.apps.isolation import file_parser
    from doctored.apps.outputs import plan_outputs, prepare_folder
    from doctored.predict import Detector

    paths = list_inputs(pictures)
    if not paths:
        raise typer.BadParameter("standard input named no picture")
    detector = Detector.from_name(
        model, device=device, precision=precision, tile=tile, fpr=fpr, calibration=calibration
    )
    plans = None
    if output is not None:
        plans = plan_outputs(output, paths, detector.witness_names)
        prepare_folder(output, plans, paths, force=force)
    failed = False
    with file_parser(max_mp, max_mb, isolate=isolate) as parser, ProgressBar("pictures") as bar:

        def announce(sentence: str) -> None:
            bar.hide()
            typer.echo(sentence, err=True)

        batch = Batch(paths, detector, max_mp, max_mb, bar.show, announce, parser)
        for result in results(batch, plans):
            bar.hide()
            if result["error"] is not None:
                failed = True
                typer.echo(f"Error: {result['error']}", err=True)
            if as_json:
                typer.echo(json.dumps(result, allow_nan=False))
            elif result["error"] is None:
                typer.echo(summary(result))
    if failed:
        raise typer.Exit(1)


@app.command()
def models(as_json: AsJson = False) -> None:
    """List the models that --model knows by name.

    \b
        doctored models
        doctored models --json
    """
    from doctored.apps.models import list_models

    for model in list_models():
        if as_json:
            typer.echo(json.dumps(model.to_json()))
        else:
            typer.echo(model.summary())


Run = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="Folder of a run of 'doctored train'.", show_default=False),
]
NewFolder = Annotated[
    Path, typer.Option("--output", metavar="DIR", help="Folder to write.", show_default=False)
]


@weights_app.callback()
def weights_command() -> None:
    """Keep, pass on and use what a training run has learned."""


@weights_app.command()
def export(
    run: Run,
    output: NewFolder,
    photos: Annotated[
        Path | None,
        typer.Option(
            "--photos", metavar="DIR", help="Photographs to quantise on; without them there is no int8."
        ),
    ] = None,
    imc: Annotated[
        Path | None,
        typer.Option(
            "--imc", metavar="RUN", help="Its stage one, which then names the manipulations of regions."
        ),
    ] = None,
) -> None:
    """Write the network of a run as a model that runs without PyTorch.

    \b
        doctored weights export runs/mantranet --output models/mine
        doctored weights export runs/mantranet --output models/mine --photos photos --imc runs/imc
    """
    from doctored.apps.models import export_run

    typer.echo(export_run(run, output, photos, imc).summary())


@weights_app.command()
def compact(run: Run, output: NewFolder) -> None:
    """Copy the weights of a run at half their size.

    \b
        doctored weights compact runs/imc --output kept/imc
        doctored weights compact runs/mantranet --output kept/mantranet
    """
    from doctored.train.compact import write_compact

    write_compact(run, output)


@weights_app.command()
def convert(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A Keras file, a PyTorch file, or a TensorFlow checkpoint by its name or index.",
            show_default=False,
        ),
    ],
    output: NewFolder,
    variant: Annotated[
        int | None,
        typer.Option(
            "--variant",
            min=0,
            max=4,
            help="Which of the released ManTra-Nets it is.",
            show_default="that of a name like ManTraNet_Ptrain4.h5",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an earlier conversion in --output.")
    ] = False,
) -> None:
    """Bring original weights of ManTra-Net or Constrained R-CNN into a folder for 'detect --model'.

    The weights do not come with doctored: get them from their authors, and mind their licence.

    \b
        doctored weights convert ManTraNet_Ptrain4.h5 --output models/original
        doctored weights convert NIST_weights/res101_mask_iter_60000 --output models/nist
    """
    from doctored.apps.convert import convert_weights

    typer.echo(convert_weights(file, output, variant, force=force))
