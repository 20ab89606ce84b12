import csv
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from data.benchmarks import test_columbia, test_coverage, test_nist16
from data.benchmarks.miniatures import photo, save
from doctored.apps.cli import app
from doctored.apps.train_cli import _beside, _settings, _usable_device
from doctored.core.errors import ConfigError
from doctored.models.mantranet.mantranet import ManTraNet
from doctored.models.mantranet.settings import NETWORKS
from doctored.predict.weights import load_run
from doctored.train.settings import MantranetSettings, RcnnSettings

SMALL = [
    "--preset", "cpu", "--steps", "1", "--device", "cpu",
    "--set", "batch_size=1", "--set", "workers=0", "--set", "held_out_crops=1",
]  # fmt: skip
IMC = [*SMALL, "--set", "crop_px=32", "--set", "work_px=48"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    with (folder / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "source"])
        for number in range(6):
            pixels = np.kron(rng.integers(0, 256, (20, 20, 3)), np.ones((32, 32, 1))).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
            rows.writerow([f"{number}.png", f"source {number // 2}"])
    return folder


def doctored(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_both_stages_and_a_compact_copy_from_the_command_line(photos, tmp_path):
    stage_one = doctored("train", "imc", photos, "--output", tmp_path / "imc", *IMC)
    assert stage_one.exit_code == 0, stage_one.output
    assert "step 1/1" in stage_one.stderr
    again = doctored("train", "imc", photos, "--output", tmp_path / "imc", *IMC)
    assert again.exit_code == 2
    assert "--resume" in again.stderr

    stage_two = doctored(
        "train", "mantranet", photos, "--start", tmp_path / "imc", "--output", tmp_path / "mantranet", *SMALL,
        "--set", "crop_px=64",
    )  # fmt: skip
    assert stage_two.exit_code == 0, stage_two.output
    compact = doctored("weights", "compact", tmp_path / "mantranet", "--output", tmp_path / "compact")
    assert compact.exit_code == 0, compact.output
    full = (tmp_path / "mantranet" / "weights.safetensors").stat().st_size
    assert (tmp_path / "compact" / "weights.safetensors").stat().st_size < 0.52 * full


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--preset", "gpu"], "choose paper or cpu"),
        (["--set", "batch_sise=4"], "batch_sise"),
        (["--set", "batch_size=many"], "type int"),
        (["--set", "balance=labels"], "classes, types, families"),
        (["--devices", "0"], "--devices"),
        (["--start", "nowhere"], "nowhere"),
        (["--network", "tiny"], "choose mantranet, mantranet-small, constrained-rcnn,"),
        (["--split", "nowhere.csv"], "nowhere.csv"),
        (["--device", "tpu"], "give one of auto, cpu, cuda, mps"),
        (["--device", "mps"], "no mps device"),
    ],
)
def test_a_wrong_option_is_one_sentence(photos, tmp_path, arguments, words):
    result = doctored("train", "imc", photos, "--output", tmp_path / "run", *arguments)
    assert result.exit_code in (1, 2)
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()


def test_settings_that_are_true_or_false_are_given_as_such():
    for text, value in (("curriculum=true", True), ("curriculum=False", False)):
        assert _settings(MantranetSettings, "cpu", None, None, [text]).curriculum is value
    with pytest.raises(ConfigError, match="type bool; got 'perhaps'"):
        _settings(MantranetSettings, "cpu", None, None, ["curriculum=perhaps"])


def test_a_missing_folder_of_photographs_is_one_sentence(tmp_path):
    result = doctored("train", "imc", tmp_path / "none", "--output", tmp_path / "run")
    assert result.exit_code == 1
    assert "is not a folder" in result.stderr


@pytest.mark.parametrize(
    "command", [["imc", "--preset", "cpu"], ["mantranet"], ["constrained-rcnn", "--stage", "1"]]
)
def test_a_run_among_its_photographs_is_refused(photos, tmp_path, command):
    """It took the plots of its last checkpoint for photographs when it was resumed."""
    (tmp_path / "link").symlink_to(photos)
    result = doctored("train", command[0], photos, "--output", tmp_path / "link" / "run", *command[1:])
    assert result.exit_code == 2
    assert "taken for photographs later; choose an --output outside" in result.stderr
    assert not (photos / "run").exists()


def test_a_split_decides_who_learns(photos, tmp_path):
    split = tmp_path / "split.csv"
    roles = ["train", "train", "test", "unused", "unused", "unused"]
    split.write_text("file,role\n" + "".join(f"{n}.png,{role}\n" for n, role in enumerate(roles)))
    result = doctored("train", "imc", photos, "--output", tmp_path / "run", "--split", split, *IMC)
    assert result.exit_code == 0, result.output
    run = (tmp_path / "run" / "run.json").read_text()
    assert '"photographs": 2' in run
    assert '"held_out_photographs": 1' in run


@pytest.fixture
def part_free(photos, tmp_path):
    """The photographs with a manifest that calls three of six free."""
    folder = tmp_path / "part-free"
    shutil.copytree(photos, folder)
    licences = ["CC0", "research", "cc-by-4.0 (some collection)", "", "CC BY-NC 4.0", "Public domain"]
    rows = [f"{number}.png,source {number},{licence}\n" for number, licence in enumerate(licences)]
    (folder / "manifest.csv").write_text("".join(["file,source,licence\n", *rows]))
    return folder


def test_free_photographs_alone_and_a_note_that_travels_with_the_weights(part_free, tmp_path):
    imc = ["train", "imc", part_free, "--network", "mantranet-small", *IMC]
    free = doctored(*imc, "--output", tmp_path / "free", "--free-only")
    assert free.exit_code == 0, free.output
    assert "3 of 6 photographs are free" in free.stderr
    run = json.loads((tmp_path / "free" / "run.json").read_text())
    assert (run["photographs"] + run["held_out_photographs"], run["free_only"]) == (3, True)
    note = (tmp_path / "free" / "LICENCE.txt").read_text()
    assert "[free]" in note
    assert "not known to be free" not in note
    assert "research" not in note

    resumed = doctored(*imc, "--output", tmp_path / "free", "--resume", "--steps", "2")
    assert resumed.exit_code == 2
    assert "was started with --free-only" in resumed.stderr
    tainted = doctored(*imc, "--start", tmp_path, "--output", tmp_path / "second", "--free-only")
    assert tainted.exit_code == 2
    assert "may have learned from photographs that are not free" in tainted.stderr
    start = ["--start", tmp_path / "free", "--output", tmp_path / "second"]
    second = doctored(*imc[:3], *IMC, *start)  # of any licence
    assert second.exit_code == 0, second.output
    note = (tmp_path / "second" / "LICENCE.txt").read_text()
    assert "not known to be free" in note
    assert "Training started from free, which came with this note:" in note
    file = tmp_path / "free" / "weights.safetensors"
    third = doctored(*imc, "--start", file, "--output", tmp_path / "third")
    assert third.exit_code == 0, third.output
    assert (
        "Training started from weights.safetensors, which came with this note:"
        in (tmp_path / "third" / "LICENCE.txt").read_text()
    ), "a file has the note of its folder"
    made = doctored("weights", "compact", tmp_path / "second", "--output", tmp_path / "compact")
    assert made.exit_code == 0, made.output
    assert (tmp_path / "compact" / "LICENCE.txt").read_text() == note


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (None, "has no manifest.csv"),
        ("file,licence\n0.png,research\n", "calls none of the 6 photographs free; it states none, research"),
        ("file,source\n0.png,web\n", "calls none of the 6 photographs free; it states none,"),
    ],
)
def test_nothing_free_is_one_sentence(photos, tmp_path, manifest, words):
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    (folder / "manifest.csv").unlink()
    if manifest:
        (folder / "manifest.csv").write_text(manifest)
    result = doctored("train", "imc", folder, "--output", tmp_path / "run", "--free-only", *IMC)
    assert result.exit_code == 1
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_smaller_network_keeps_its_shape_from_stage_to_stage(photos, tmp_path):
    stage_one = doctored(
        "train", "imc", photos, "--output", tmp_path / "imc", "--network", "mantranet-small", *IMC
    )
    assert stage_one.exit_code == 0, stage_one.output
    stage_two = [
        "train", "mantranet", photos, "--start", tmp_path / "imc", *SMALL, "--set", "crop_px=64",
    ]  # fmt: skip
    other = doctored(*stage_two, "--output", tmp_path / "other", "--network", "mantranet")
    assert other.exit_code == 2
    assert "leave --network out" in other.stderr
    bare = doctored(
        *stage_two[:3],
        "--start",
        tmp_path / "imc" / "weights.safetensors",
        "--output",
        tmp_path / "bare",
        *SMALL,
    )
    assert bare.exit_code == 2
    assert "choose the --network" in bare.stderr
    assert not (tmp_path / "bare").exists()
    made = doctored(*stage_two, "--output", tmp_path / "mantranet")
    assert made.exit_code == 0, made.output
    assert load_run(tmp_path / "mantranet").imtfe.b5c2.weight.shape == (128, 128, 3, 3)


def test_the_backbone_of_constrained_rcnn_is_trained_too(photos, tmp_path):
    imc = ["train", "imc", photos, *SMALL, "--set", "crop_px=32", "--set", "work_px=48"]
    made = doctored(*imc, "--output", tmp_path / "run", "--network", "constrained-rcnn-small")
    assert made.exit_code == 0, made.output
    further = doctored(*imc, "--output", tmp_path / "run", "--resume", "--steps", "2")
    assert further.exit_code == 0, further.output
    assert "step 2/2" in further.stderr
    start = [*imc, "--start", tmp_path / "run", "--output", tmp_path / "other"]
    other = doctored(*start, "--network", "constrained-rcnn-resnet50")
    assert other.exit_code == 2
    assert "leave --network out" in other.stderr
    wrong = ["train", "mantranet", photos, *SMALL, "--set", "crop_px=64"]
    unfit = doctored(*wrong, "--start", tmp_path / "run", "--output", tmp_path / "other")
    assert unfit.exit_code == 2
    assert "holds another network than mantranet or mantranet-small" in unfit.stderr


@pytest.fixture(scope="module")
def own_forgeries(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(0)
    for name in ("images", "masks", "authentic"):
        (folder / name).mkdir()
    for number in range(4):
        pixels = rng.integers(0, 256, (80, 90, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "authentic" / f"a{number}.png")
        mask = np.zeros((80, 90), np.uint8)
        mask[20:50, 30:60] = 255
        Image.fromarray(pixels[::-1].copy()).save(folder / "images" / f"f{number}.png")
        Image.fromarray(mask).save(folder / "masks" / f"f{number}.png")
    return folder


def test_fine_tuning_from_the_command_line(own_forgeries, tmp_path):
    small = [*SMALL, "--set", "crop_px=64"]
    shape = NETWORKS["mantranet-small"]
    start = tmp_path / "start"
    start.mkdir()
    save_file(ManTraNet(shape).state_dict(), start / "weights.safetensors")
    model = {"model": "mantranet", "settings": dataclasses.asdict(shape)}
    (start / "model.json").write_text(json.dumps(model), encoding="utf-8")
    tune = ["train", "finetune", own_forgeries]
    made = doctored(*tune, "--start", start, "--output", tmp_path / "tuned", *small)
    assert made.exit_code == 0, made.output
    assert "held out" in made.stderr
    assert load_run(tmp_path / "tuned").imtfe.b5c2.weight.shape == (128, 128, 3, 3)
    further = ["--output", tmp_path / "tuned", "--resume", *small, "--steps", "2"]
    again = doctored(*tune, *further)
    assert again.exit_code == 0, again.output
    assert "step 2/2" in again.stderr


def test_more_devices_than_there_are_is_one_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert _usable_device("auto", 1) == "cuda"
    with pytest.raises(ConfigError, match="--devices is 2, but there are 1 of cuda"):
        _usable_device("cuda", 2)
    assert _usable_device("cpu", 3) == "cpu"


def test_a_pool_lies_beside_its_run_wherever_that_is(tmp_path, monkeypatch):
    """A run in the current folder ended in an error of Python's."""
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    assert _beside(Path(".")) == _beside(tmp_path / "run") == tmp_path / "run.pool"
    assert _beside(Path("..")) == tmp_path.with_name(f"{tmp_path.name}.pool")
    with pytest.raises(ConfigError, match="the whole disk"):
        _beside(Path("/"))


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ([], "needs --start"),
        (["--start", "imc.safetensors"], "whole ManTra-Net"),
        (["--start", "nowhere"], "nowhere"),
    ],
)
def test_fine_tuning_from_too_little_is_one_sentence(own_forgeries, tmp_path, monkeypatch, start, words):
    monkeypatch.chdir(tmp_path)
    save_file({"imtfe.transform.bias": torch.zeros(256)}, "imc.safetensors")
    result = doctored(
        "train", "finetune", own_forgeries, "--output", "run", *start, *SMALL, "--set", "crop_px=64"
    )
    assert result.exit_code == 2
    assert words in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_folder_without_masks_is_one_sentence(photos, tmp_path):
    result = doctored("train", "finetune", photos, "--output", tmp_path / "run", "--resume", *SMALL)
    assert result.exit_code == 1
    assert "images/, masks/" in result.stderr


RCNN = [
    "--network", "constrained-rcnn-small", "--set", "crop_px=64", "--set", "rpn_batch=16", "--set", "roi_batch=4",
]  # fmt: skip


def test_constrained_rcnn_from_photographs_stage_by_stage(photos, tmp_path):
    learn = ["train", "constrained-rcnn", photos, *SMALL, *RCNN, "--kind", "splicing", "--kind", "authentic"]
    stage_1 = doctored(*learn, "--stage", "1", "--output", tmp_path / "stage1", "--pool", tmp_path / "pool")
    assert stage_1.exit_code == 0, stage_1.output
    full = [*learn, "--stage", "full", "--pool", tmp_path / "pool"]
    both = doctored(*full, "--start", tmp_path / "stage1", "--output", tmp_path / "full")
    assert both.exit_code == 0, both.output
    further = doctored(*full, "--output", tmp_path / "full", "--resume", "--steps", "2")
    assert further.exit_code == 0, further.output
    shapes = [
        json.loads((tmp_path / run / "model.json").read_text("utf-8"))["settings"]
        for run in ("stage1", "full")
    ]
    assert [shape["mask_stage"] for shape in shapes] == [False, True]
    assert (
        load_file(tmp_path / "full" / "weights.safetensors").keys()
        > load_file(tmp_path / "stage1" / "weights.safetensors").keys()
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--stage", "2"], "choose 1 or full"),
        (["--stage", "1", "--network", "mantranet"], "choose constrained-rcnn,"),
        (["--stage", "1", "--set", "noise=everywhere"], "'whole' or 'boxes'"),
        (["--stage", "1", "--set", "rate_drops=10,later"], "rate_drops needs"),
        (["--stage", "1", "--start", "broken.pth"], "no readable weights"),
    ],
)
def test_a_wrong_option_of_constrained_rcnn_is_one_sentence(photos, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.pth").write_bytes(b"nothing")
    result = doctored("train", "constrained-rcnn", photos, "--output", "run", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not (tmp_path / "run").exists()


def test_settings_of_several_numbers_are_separated_by_commas():
    chosen = _settings(RcnnSettings, "paper", None, None, ["rate_drops=30000,50000"])
    assert chosen.rate_drops == (30000, 50000)
    assert _settings(RcnnSettings, "paper", None, None, ["rate_drops="]).rate_drops == ()


def casia_2(folder):
    """Six originals, and a forgery of each with something pasted in."""
    for number in range(1, 7):
        original = photo(number)
        made = original.copy()
        made[10:30, 20:40] = 255 - made[10:30, 20:40] // 4
        save(folder / "Au" / f"Au_ani_0000{number}.jpg", original, quality=95)
        name = f"Tp_D_NRN_S_N_ani0000{number}_ani0000{number % 6 + 1}_1000{number}"
        save(folder / "Tp" / f"{name}.tif", made)
    return folder


def coco_synthetic(folder):
    """The lists of the pre-training set: boxes, no masks, and originals."""
    lines = []
    for number in range(8):
        save(folder / f"Tp_{number}_{number + 1}_dog.png", photo(number))
        lines.append(f"Tp_{number}_{number + 1}_dog.png 11 6 37 29 tamper")
    save(folder / "original.png", photo(9))
    (folder / "train_filter_single.txt").write_text("\n".join([*lines, "original"]) + "\n")
    save(folder / "Tp_8_9_bed.png", photo(8))
    (folder / "test_filter_single.txt").write_text("Tp_8_9_bed.png 11 6 37 29 tamper\n")
    return folder


def nist_16(folder):
    return test_nist16.miniature(folder, test_nist16.ROWS)


@pytest.mark.parametrize(
    ("name", "make", "stage", "classes"),
    [
        ("coco-synthetic", coco_synthetic, "1", ["authentic", "manipulated"]),
        ("casia-v2", casia_2, "full", ["authentic", "manipulated"]),
        ("coverage", test_coverage.miniature, "full", ["authentic", "manipulated"]),
        ("nist16", nist_16, "full", ["authentic", "splicing", "copy_move", "removal"]),
    ],
)
def test_constrained_rcnn_from_published_sets(tmp_path, name, make, stage, classes):
    """As docs/training.md says for each of them, but for the size of the network and the number of steps."""
    source = make(tmp_path / "published")
    prepared = doctored("data", "prepare", name, "--source", source, "--output", tmp_path / name)
    assert prepared.exit_code == 0, prepared.output
    two = ["--set", "two_classes=true"] if len(classes) == 2 else []
    learn = ["train", "constrained-rcnn", tmp_path / name, "--stage", stage, "--output", tmp_path / "run"]
    made = doctored(*learn, *two, *SMALL, *RCNN)
    assert made.exit_code == 0, made.output
    model = json.loads((tmp_path / "run" / "model.json").read_text("utf-8"))
    assert model["settings"]["classes"] == classes
    run = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))
    assert run["set"] == name
    assert run["held_out_pictures"] >= 1


def test_weights_of_casia_are_tested_on_columbia(tmp_path):
    """As the original does it, for there is no training part of Columbia."""
    casia_2(tmp_path / "CASIA2")
    test_columbia.miniature(tmp_path / "COLUMBIA")
    for name, source in (("casia-v2", "CASIA2"), ("columbia", "COLUMBIA")):
        prepared = doctored(
            "data", "prepare", name, "--source", tmp_path / source, "--output", tmp_path / name
        )
        assert prepared.exit_code == 0, prepared.output
    made = doctored(
        "train", "constrained-rcnn", tmp_path / "casia-v2", "--stage", "full", "--output", tmp_path / "run",
        "--set", "two_classes=true", *SMALL, *RCNN,
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    tested = doctored(
        "evaluate", tmp_path / "columbia", "--model", tmp_path / "run", "--protocol", "constrained-rcnn",
        "--device", "cpu", "--no-yardsticks", "--no-equalised", "--json",
    )  # fmt: skip
    assert tested.exit_code == 0, tested.output
    rows = {row["metric"]: row for row in map(json.loads, tested.stdout.splitlines())}
    assert rows["pixel_auc"]["pictures"] + rows["pixel_auc"].get("undefined", 0) == 2
    assert 0 <= rows["best_pixel_f1"]["value"] <= 1


def test_columbia_is_for_testing_only(tmp_path):
    source = test_columbia.miniature(tmp_path / "published")
    doctored("data", "prepare", "columbia", "--source", source, "--output", tmp_path / "columbia")
    learn = ["train", "constrained-rcnn", tmp_path / "columbia", "--stage", "1", "--output", tmp_path / "run"]
    refused = doctored(*learn, "--set", "two_classes=true")
    assert refused.exit_code == 1
    assert "for testing; learn from another set" in refused.stderr
    photographs_only = doctored(*learn, "--kind", "splicing")
    assert photographs_only.exit_code == 2
    assert "made already; leave --kind" in photographs_only.stderr
