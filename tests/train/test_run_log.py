import csv

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from doctored.train.run_log import RunLog


def rows(run):
    with (run / "log.csv").open(newline="") as file:
        return [tuple(row.values()) for row in csv.DictReader(file)]


def test_csv_and_tensorboard_hold_the_same_figures(tmp_path):
    log = RunLog(tmp_path, 0)
    log.figures(20, 1.5, 80, "train", {"loss": 0.25})
    log.figures(40, 3.0, 160, "held_out", {"pixel_auc": 0.75})
    log.close()
    assert rows(tmp_path) == [
        ("20", "1.5", "80", "train", "loss", "0.25"),
        ("40", "3.0", "160", "held_out", "pixel_auc", "0.75"),
    ]
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [(20, 0.25)]
    assert [(e.step, e.value) for e in events.Scalars("held_out/pixel_auc")] == [(40, 0.75)]


def test_going_on_drops_what_is_done_again_and_half_a_row(tmp_path):
    log = RunLog(tmp_path, 0)
    for step in (1, 2, 3):
        log.figures(step, 0.0, step, "train", {"loss": float(step)})
    log.close()
    with (tmp_path / "log.csv").open("a", newline="") as file:
        file.write("4,0.0,4,train,lo")
    log = RunLog(tmp_path, 2)
    log.figures(3, 0.0, 3, "train", {"loss": 30.0})
    log.close()
    assert [(row[0], row[5]) for row in rows(tmp_path)] == [("1", "1"), ("2", "2"), ("3", "30")]
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [(1, 1.0), (2, 2.0), (3, 30.0)]


def test_a_log_of_an_earlier_run_without_tensorboard_is_gone_on_with(tmp_path):
    (tmp_path / "log.csv").write_text(
        "step,seconds,samples,kind,name,value\r\n5,1.0,20,train,loss,0.5\r\n", newline=""
    )
    log = RunLog(tmp_path, 5)
    log.figures(10, 2.0, 40, "train", {"loss": 0.25})
    log.close()
    assert [row[0] for row in rows(tmp_path)] == ["5", "10"]


def test_only_the_newest_pictures_are_kept(tmp_path):
    log = RunLog(tmp_path, 0)
    for step in range(1, 8):
        log.pictures(step, {"samples": np.full((4, 6, 3), step, np.uint8)})
    log.close()
    kept = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert kept == [f"step-{step:09d}.png" for step in range(3, 8)]
    with Image.open(tmp_path / "samples" / kept[-1]) as picture:
        assert np.asarray(picture).tolist() == np.full((4, 6, 3), 7).tolist()
