"""Writes docs/api.md from signatures and docstrings; with --check, only says whether the page is up to date.

Reads the source without importing it, so that neither PyTorch nor a certain Python version is needed.
"""

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PAGE = Path(__file__).with_name("api.md")
SOURCE = Path(__file__).parents[1] / "src"

# Heading, what it is for, and modules with the names that are shown.
SECTIONS: list[tuple[str, str, dict[str, str]]] = [
    (
        "Inspect a picture",
        "`doctored.inspect` and `doctored.trace_features` are these two. For more than one picture, keep a `Detector`.",
        {"doctored.predict.detector": "inspect trace_features Detector"},
    ),
    (
        "Results",
        "Their JSON form is described by "
        "[a schema](../src/doctored/core/inspection.schema.json); keys are only ever added.",
        {"doctored.core.inspection": "Inspection Region WitnessFinding Comparison PictureFacts Timing"},
    ),
    (
        "Pictures, masks and samples",
        "",
        {
            "doctored.core.read_image": "read_image decode_image read_mask",
            "doctored.core.picture": "Picture",
            "doctored.core.sample": "Sample",
        },
    ),
    (
        "Errors",
        "All that is raised on purpose; each message is a sentence for people.",
        {
            "doctored.core.errors": "DoctoredError ImageReadError ShapeError ConfigError DataError "
            "UndefinedMetricError ModelError UnknownModelError CheckpointError MissingExtraError"
        },
    ),
    (
        "Scores",
        "Pure functions on arrays, without PyTorch.",
        {
            "doctored.metrics.pixel": "pixel_auc shuffled_pixel_auc pixel_f1 best_pixel_f1 pixel_iou pixel_mcc "
            "pixel_average_precision flagged_area position_priors",
            "doctored.metrics.image": "image_auc image_average_precision balanced_accuracy tpr_at_fpr operating_point",
            "doctored.metrics.averaging": "mean_per_image",
            "doctored.metrics.resampling": "bootstrap_interval paired_comparison",
            "doctored.metrics.conventions": "PixelConvention",
        },
    ),
    (
        "Forgeries",
        "Making them, and reading sets of them. Needs `doctored[train]`.",
        {
            "doctored.synth.imc385": "Manipulation Manipulations apply_manipulation",
            "doctored.data.forged_folder": "ForgeSettings forge_files rebuild_file",
            "doctored.data.prepared_set": "PreparedSet",
            "doctored.data.photographs": "list_photographs split_photographs Photograph",
        },
    ),
    (
        "Networks",
        "PyTorch modules under the names of the papers. Needs `doctored[train]`.",
        {
            "doctored.models.mantranet.mantranet": "ManTraNet",
            "doctored.models.mantranet.imtfe": "IMTFE CombinedConv2d",
            "doctored.models.mantranet.ladn": "LADN",
            "doctored.models.mantranet.settings": "ManTraNetSettings",
            "doctored.models.imc_head": "IMCHead",
            "doctored.models.constrained_rcnn.constrained_rcnn": "ConstrainedRCNN",
            "doctored.models.constrained_rcnn.settings": "ConstrainedRCNNSettings",
            "doctored.layers.constrained_conv": "ConstrainedConv2d UnitNormConv2d",
            "doctored.layers.srm": "srm_kernels",
            "doctored.layers.box_mean": "box_mean",
            "doctored.layers.convlstm": "ConvLSTM2d",
            "doctored.layers.cbam": "CBAM",
        },
    ),
]

_INTRODUCTION = """\
# Python

Generated from the source by `make docs`; a test compares the two. Shape letters and words:
[conventions](conventions.md). Everything that is not here may change without notice.
"""
_SHOWN_AS = {"doctored.predict.detector": "doctored.predict"}
_HEADING = re.compile(
    r"(Args|Attributes|Returns|Raises|Yields|Shapes|Example|Paper|Differs)(?: \(([^)]*)\))?:(.*)"
)


def page() -> str:
    """The whole page."""
    parts = [_INTRODUCTION]
    for heading, sentence, modules in SECTIONS:
        parts.append(f"## {heading}\n")
        if sentence:
            parts.append(f"{sentence}\n")
        for module, names in modules.items():
            tree = ast.parse(_path(module).read_text("utf-8"))
            defined = {
                node.name: node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)
            }
            parts += [part for name in names.split() for part in _entry(module, defined[name])]
    return "\n".join(parts)


def _path(module: str) -> Path:
    return SOURCE.joinpath(*module.split(".")).with_suffix(".py")


def _entry(module: str, node: ast.ClassDef | ast.FunctionDef) -> Iterator[str]:
    yield f"### `{node.name}`\n"
    yield f"`from {_SHOWN_AS.get(module, module)} import {node.name}`\n"
    if isinstance(node, ast.FunctionDef):
        yield f"```python\n{_signature(node)}\n```\n"
        yield markdown(ast.get_docstring(node) or "")
        return
    methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
    fields = [
        part for part in node.body if isinstance(part, ast.AnnAssign) and not _name(part).startswith("_")
    ]
    starts = [method for method in methods if method.name == "__init__"]
    if starts:
        yield f"```python\n{_signature(starts[0], node.name)}\n```\n"
    elif fields and any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        listed = "\n".join(f"    {ast.unparse(field)}" for field in fields)
        yield f"```python\nclass {node.name}:\n{listed}\n```\n"
    yield markdown(ast.get_docstring(node) or "")
    for method in methods:
        text = ast.get_docstring(method)
        if not method.name.startswith("_") and text:
            kind = {ast.unparse(decorator) for decorator in method.decorator_list}
            if "property" in kind:
                yield f"#### `{node.name}.{method.name}`\n"
            else:
                yield f"#### `{node.name}.{method.name}()`\n"
                yield f"```python\n{_signature(method)}\n```\n"
            yield markdown(text)


def _name(field: ast.AnnAssign) -> str:
    return ast.unparse(field.target)


def _signature(node: ast.FunctionDef, name: str | None = None) -> str:
    """How it is called, on one line if that is not too long; `self` and `cls` are left out."""
    arguments = node.args
    if arguments.args and arguments.args[0].arg in ("self", "cls"):
        arguments.args = arguments.args[1:]
    result = f" -> {ast.unparse(node.returns)}" if node.returns and name is None else ""
    result = result.replace("'", "")
    line = f"{name or node.name}({ast.unparse(arguments)}){result}"
    if len(line) <= 100:
        return line
    inside = ",\n    ".join(_split(ast.unparse(arguments)))
    return f"{name or node.name}(\n    {inside},\n){result}"


def _split(arguments: str) -> list[str]:
    """At the commas that are in no bracket."""
    parts, depth = [""], 0
    for letter in arguments:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def markdown(docstring: str) -> str:
    """A docstring in Google style as Markdown."""
    blocks: list[str] = []
    lines = inspect.cleandoc(docstring).splitlines()
    while lines:
        heading = _HEADING.fullmatch(lines[0])
        if heading is None:
            count = next((i for i, line in enumerate(lines) if _HEADING.fullmatch(line)), len(lines))
            blocks.append(_plain("\n".join(lines[:count])).strip())
            lines = lines[count:]
            continue
        word, remark, rest = heading.groups()
        count = next(
            (i for i, line in enumerate(lines[1:], 1) if line and not line.startswith(" ")), len(lines)
        )
        body = inspect.cleandoc("\n" + "\n".join(lines[1:count]))
        lines = lines[count:]
        title = f"**{word}**" + (f" ({_plain(remark)})" if remark else "")
        if word == "Example":
            blocks.append(f"```python\n{body}\n```")
        elif rest.strip():
            blocks.append(f"{title}: {_plain(' '.join(f'{rest} {body}'.split()))}")
        else:
            blocks.append(f"{title}\n\n" + "\n".join(_items(body)))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _items(body: str) -> Iterator[str]:
    """A list of `name: meaning` as bullets; text without names stays a paragraph."""
    entries: list[str] = []
    for line in body.splitlines():
        if line.startswith(" ") and entries:
            entries[-1] += f" {line.strip()}"
        elif line.strip():
            entries.append(line.strip())
    named = [re.fullmatch(r"([\w, ]+(?: \([^)]*\))?): (.*)", entry) for entry in entries]
    if all(named):
        yield from (f"- `{match[1]}`: {_plain(match[2])}" for match in named if match)
    else:
        yield _plain(" ".join(entries))


def _plain(text: str) -> str:
    """Words of a docstring, with code as Markdown marks it and nothing that it would take for a tag."""
    parts = re.split(r"(`[^`]+`)", text.replace("``", "`"))
    escaped = (part if part.startswith("`") else re.sub(r"([<*])", r"\\\1", part) for part in parts)
    return "".join(escaped)


def main() -> None:
    """Write the page, or compare it."""
    if sys.argv[1:] == ["--check"]:
        if not PAGE.exists() or PAGE.read_text("utf-8") != page():
            sys.exit("docs/api.md is out of date; run: make docs")
    else:
        PAGE.write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
