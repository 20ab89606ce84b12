"""Tables, lists and annotation files of data sets."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

import mutations
from core.made_files import scene
from doctored.data.benchmarks import nist16
from doctored.data.benchmarks.entries import Options
from doctored.data.boxes import boxes_from_mask
from doctored.data.coco_annotations import read_annotations
from doctored.data.hash_split import split_pictures
from doctored.data.licences import count_licences, free_photographs, licence_note
from doctored.data.list_files import read_list
from doctored.data.photograph_pool import PhotographPool, annotated_outlines, build_pool
from doctored.data.photographs import Photograph, list_photographs, read_split, split_photographs
from doctored.data.prepared_set import MANIFEST_COLUMNS, PreparedSet, is_prepared_set, read_manifest
from doctored.data.removals import MadeRemovals
from doctored.data.resumable_folder import open_folder
from doctored.evaluate.cases import list_cases
from parser import Parser, Reader, file_reader
from targets.pictures import saved
from targets.recipes import file_recipes

_PHOTOGRAPHS = b"""file,source,model,make,licence
a.png,somewhere,Maker One,Maker,CC0
sub/b.png,elsewhere,Maker Two,Maker,CC BY 4.0
"""
_PREPARED = (
    ",".join(MANIFEST_COLUMNS)
    + """
a,images/a.png,masks/a.png,,splicing,train,0.25,1 1 9 9;10 2 12 9,a.png,
b,authentic/b.png,,,authentic,test,,,b.png,made by hand
"""
).encode()
_LIST = b"a.png 1 1 9 9 tamper 10 2 12 9 splice\nb\n\nc.jpg 0 0 3 3 removal\n"
_SPLIT = b"file,role\na.png,train\nsub/b.png,test\nc.png,unused\n"
_ANNOTATIONS = {
    "images": [
        {"id": 7, "file_name": "a.png", "height": 16, "width": 24},
        {"id": "b", "file_name": "sub/b.png", "height": 3, "width": 3},
    ],
    "annotations": [
        {"image_id": 7, "category_id": 2, "segmentation": [[1, 1, 4, 1, 4, 3, 1, 3]], "iscrowd": 0},
        {"image_id": 7, "category_id": 1, "segmentation": {"counts": [0, 384], "size": [16, 24]}},
        {"image_id": 7, "category_id": 1, "segmentation": {"counts": "0P<", "size": [16, 24]}},
        {"image_id": "b", "category_id": 1, "segmentation": {"counts": "252", "size": [3, 3]}},
    ],
    "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "dining table"}],
}
_NIST16 = "\n".join(
    [
        "|".join(f"column{number}" for number in range(24)),
        "|".join(["T", "1", "a.png", "1", "m", "masks/a.png", "w.png", "Y", *["N"] * 16]),
        "|".join(["T", "2", "b.png", "1", "m", "", "w.png", "N", *["N"] * 16]),
    ]
).encode()


def _pictures(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(saved(Image.fromarray(scene(24, 16, seed=number)), "PNG"))


def _photograph_manifest(folder: Path) -> Reader:
    _pictures(folder, "a.png", "sub/b.png")

    def read(data: bytes) -> object:
        (folder / "manifest.csv").write_bytes(data)
        photographs = list_photographs(folder)
        note = licence_note(count_licences(photographs))
        split_pictures([photograph.file for photograph in photographs])
        return note, split_photographs(photographs), free_photographs(folder, photographs)

    return read


def _prepared_manifest(folder: Path) -> Reader:
    _pictures(folder, "images/a.png", "masks/a.png", "authentic/b.png")

    def read(data: bytes) -> object:
        (folder / "manifest.csv").write_bytes(data)
        is_prepared_set(folder)
        read_manifest(folder)
        return list(PreparedSet(folder))

    return read


def _evaluated_manifest(folder: Path) -> Reader:
    _pictures(folder, "images/a.png", "masks/a.png", "authentic/b.png")

    def read(data: bytes) -> object:
        (folder / "manifest.csv").write_bytes(data)
        return list_cases([folder], None)

    return read


def _list(path: Path) -> object:
    return read_list(path, counts_from_one=True), read_list(path, counts_from_one=False)


def _annotations(folder: Path) -> Reader:
    path = folder / "annotations.json"

    def read(data: bytes) -> object:
        path.write_bytes(data)
        for picture in read_annotations(path):
            for annotated in picture.objects:
                boxes_from_mask(annotated.mask(picture.size_hw))
        return annotated_outlines(path, [Photograph(folder / "a.png", "a.png")])

    return read


def _pool(folder: Path) -> Reader:
    _pictures(folder, "photos/a.png", "photos/b.png")
    build_pool(list_photographs(folder / "photos"), folder / "pool")

    def read(data: bytes) -> object:
        (folder / "pool" / "index.json").write_bytes(data)
        return [source.pixels.sum() for source in PhotographPool(folder / "pool")]

    return read


def _file_of_pool(name: str) -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        _pool(Path(folder))
        return (Path(folder) / "pool" / name).read_bytes()


def _pixels(folder: Path) -> Reader:
    _pool(folder)

    def read(data: bytes) -> object:
        (folder / "pool" / "pixels.npy").write_bytes(data)
        return [source.pixels.sum() for source in PhotographPool(folder / "pool")]

    return read


def _removals(folder: Path) -> Reader:
    (folder / "asked.json").write_text("{}")
    np.save(folder / "images.npy", np.zeros((2, 8, 8, 3), np.uint8))
    np.save(folder / "masks.npy", np.zeros((2, 8, 8), bool))

    def read(data: bytes) -> object:
        (folder / "recipes.jsonl").write_bytes(data)
        return list(MadeRemovals(folder))

    return read


def _command(folder: Path) -> Reader:
    def read(data: bytes) -> object:
        (folder / "command.json").write_bytes(data)
        return open_folder(folder, {"command": "forge", "count": 3}, ["no-such"], force=False)

    return read


def _nist16(folder: Path) -> Reader:
    _pictures(folder, "a.png", "b.png", "masks/a.png", "w.png")

    def read(data: bytes) -> object:
        (folder / "reference.csv").write_bytes(data)
        return nist16.read(folder, Options(reference=folder / "reference.csv"))

    return read


def _only(*seeds: bytes | str) -> object:
    return lambda: [seed.encode() if isinstance(seed, str) else seed for seed in seeds]


PARSERS = [
    Parser("photograph-manifest", _photograph_manifest, _only(_PHOTOGRAPHS), mutations.fields_of_lines),
    Parser("prepared-manifest", _prepared_manifest, _only(_PREPARED), mutations.fields_of_lines),
    Parser("evaluated-manifest", _evaluated_manifest, _only(_PREPARED), mutations.fields_of_lines),
    Parser("list-file", file_reader("list.txt", _list), _only(_LIST), mutations.fields_of_lines),
    Parser("split", file_reader("split.csv", read_split), _only(_SPLIT), mutations.fields_of_lines),
    Parser("annotations", _annotations, _only(json.dumps(_ANNOTATIONS)), mutations.json_values),
    Parser("pool-index", _pool, lambda: [_file_of_pool("index.json")], mutations.json_values),
    Parser("pool-pixels", _pixels, lambda: [_file_of_pool("pixels.npy")]),
    Parser(
        "removals",
        _removals,
        lambda: ["\n".join(json.dumps(json.loads(text)["picture"]) for text in file_recipes()[:2]).encode()],
        mutations.fields_of_lines,
    ),
    Parser("command", _command, _only('{"command": "forge", "count": 3}'), mutations.json_values),
    Parser("nist16", _nist16, _only(_NIST16), mutations.fields_of_lines),
]
