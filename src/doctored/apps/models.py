"""`doctored models` and `doctored weights export`: what models there are, and a new one from a run."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doctored.core.errors import ModelError
from doctored.core.json_text import parse_json
from doctored.models.catalog import CATALOG

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from doctored.predict.weights import ExportedModel

# As many as NNCF needs for stable ranges; more only take longer.
_QUANTISED_ON = 200


@dataclass(frozen=True)
class ModelFacts:
    """What a user can know of a model before running it.

    Args:
        name: What --model calls it.
        kind: "network", "search", "yardstick" or "combination".
        description: One sentence.
        installed: Whether it can be run here.
        bytes: Size of its files; None for what has none, or if it is not installed.
        precisions: What it can compute in; empty likewise, and for a combination, whose models have their own.
        training: What it was trained on, in a sentence; None likewise.
        sha256: Of its manifest, or of its rule, which hold the hashes of the rest; None likewise.
    """

    name: str
    kind: str
    description: str
    installed: bool
    bytes: int | None = None
    precisions: tuple[str, ...] = ()
    training: str | None = None
    sha256: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)

    def summary(self) -> str:
        """In a few lines for people."""
        lines = [f"{self.name} ({self.kind}): {self.description}"]
        if not self.installed:
            lines.append("  does not come with this installation")
        if self.bytes is not None:
            size = ", ".join([f"{self.bytes / 1e6:.1f} MB", *self.precisions])
            lines.append(f"  {size}, SHA-256 {self.sha256}")
        if self.training:
            lines.append(f"  trained on {self.training}")
        return "\n".join(lines)


def list_models() -> list[ModelFacts]:
    """All models of the catalogue, in its order.

    Raises:
        ModelError: a model that comes with the package is damaged.
    """
    from doctored.predict.combination import COMBINATION_FILE, read_combination
    from doctored.predict.detector import EMBEDDED
    from doctored.predict.weights import MANIFEST_FILE, read_exported

    facts = []
    for name, entry in CATALOG.items():
        if (EMBEDDED / name / MANIFEST_FILE).is_file():
            facts.append(_facts(name, entry.description, read_exported(EMBEDDED / name)))
        elif (EMBEDDED / name / COMBINATION_FILE).is_file():
            rule = read_combination(EMBEDDED / name / COMBINATION_FILE)
            facts.append(
                ModelFacts(
                    name,
                    entry.kind,
                    entry.description,
                    installed=True,
                    bytes=_folder_bytes(EMBEDDED / name),
                    training=rule.fitted_on,
                    sha256=rule.sha256,
                )
            )
        else:
            facts.append(ModelFacts(name, entry.kind, entry.description, installed=entry.is_code_alone))
    return facts


def _facts(name: str, description: str, exported: "ExportedModel") -> ModelFacts:
    return ModelFacts(
        name=name,
        kind="network",
        description=description,
        installed=True,
        bytes=_folder_bytes(exported.folder),
        precisions=exported.precisions,
        training=exported.training,
        sha256=exported.sha256,
    )


def _folder_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def export_run(run: Path, output: Path, photos: Path | None, imc: Path | None) -> ModelFacts:
    """Write the network of a training run as a model that runs without PyTorch.

    Args:
        run: Folder of the run.
        output: Folder of the model.
        photos: Folder of photographs to quantise on; None leaves int8 out.
        imc: Run of the stage one that this run was started from, whose head names the manipulations of regions;
            None leaves that out.

    Raises:
        MissingExtraError: PyTorch is not installed.
        ModelError: The run is damaged, or of an unfinished network.
        ConfigError: output holds a model already, or the network is one that cannot be exported.
        DataError: photos holds no photograph.
    """
    from doctored.predict.weights import load_imc_head, load_run

    network = load_run(run)
    from doctored.data.licences import copy_licence
    from doctored.predict.export import export_network

    images = None if photos is None else _quantisation_images(photos)
    imc_head = None if imc is None else load_imc_head(imc)
    exported = export_network(network, output, images, training=_training(run), imc_head=imc_head)
    copy_licence(run, output)
    return _facts(str(output), CATALOG[exported.name].description, exported)


def _training(run: Path) -> str:
    """What a run learned from, in a sentence; empty if it does not say."""
    path = run / "run.json"
    if not path.exists():
        return ""
    try:
        description = parse_json(path.read_text(encoding="utf-8"))
        if "origin" in description:
            return f"what its authors chose: {description['origin']['weights']}; {description['origin']['licence']}"
        return f"{description['photographs']} photographs ({', '.join(description['sources'])})"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is damaged ({error}); give the folder of a complete run") from error


def _quantisation_images(photos: Path) -> "Sequence[NDArray[np.uint8]]":
    """Photographs spread evenly over the sorted names of a folder."""
    from doctored.data.photographs import list_photographs, read_photographs

    photographs = list_photographs(photos)
    every = max(1, len(photographs) // _QUANTISED_ON)
    pixels, _ = read_photographs(photographs[::every][:_QUANTISED_ON], min_side_px=192)
    return list(pixels.values())
