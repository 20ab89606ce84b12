"""Pictures and models for tests of scans; imported by worker processes too, so at home in a module of its own."""

import json
import os
import signal
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from apps.isolation.hostile_child import HOSTILE_PROGRAM
from doctored.apps.isolation import parent
from doctored.apps.scan.analyse import Limits
from doctored.apps.scan.workers import WorkerSettings
from doctored.core.inspection import AnsweringModel, WitnessFinding
from doctored.predict import Detector
from doctored.predict.quick_look import QuickLook, quick_reason
from predict.calibrations import make_calibration

KILLS, HANGS, EXITS = 7, 8, 9
"""Pictures whose first value is one of these do so to the process that looks at them.

A `Hasty` detector ends at the quick look of a picture that kills, and at the look at the whole of one that exits.
"""

NOISE = WorkerSettings("noise", "cpu", "auto", 0.05, None, 1, Limits())


def write_picture(path, seed, size_hw=(70, 90), first=100, brightest=255):
    """A picture of noise of its own."""
    pixels = np.random.default_rng(seed).integers(0, brightest + 1, (*size_hw, 3), dtype=np.uint8)
    pixels[0, 0, 0] = first
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return str(path)


def calibrate_noise(path):
    """A calibration of the noise model by made-up pictures of about the size and format of `write_picture`."""
    scores = [0.00005 + 0.000005 * number for number in range(60)]
    detector = Detector.from_name("noise")
    make_calibration(
        [(80, "lossless", score) for score in scores], model="noise", model_sha256=detector.sha256
    ).save(path)


def rows(store, columns="*", order="id"):
    """Rows of a store as dicts, read without our own code."""
    with closing(sqlite3.connect(store)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(f"SELECT {columns} FROM files ORDER BY {order}")]


class Dangerous:
    """A detector that some pictures are too much for."""

    def __init__(self, log):
        self._detector, self._log = Detector.from_name("noise"), log
        self.name, self.sha256, self.precision = (
            self._detector.name,
            self._detector.sha256,
            self._detector.precision,
        )
        self.calibration_sha256, self.judge, self.quick_facts = None, self._detector.judge, None

    def inspect(self, picture, kept=None):
        with open(self._log, "a") as log:
            log.write(json.dumps(picture.path) + "\n")
        with open(f"{self._log}.pids", "a") as pids:
            pids.write(f"{os.getppid()}\n")
        first = int(picture.pixels[0, 0, 0])
        if first == KILLS:
            os.kill(os.getpid(), signal.SIGKILL)
        if first == HANGS:
            time.sleep(600)
        if first == EXITS:
            os._exit(3)
        return self._detector.inspect(picture)


class Hasty(Dangerous):
    """Takes quick looks too, whose score is the brightness of the picture; its log says which look it was.

    What is kept of a quick look of a picture is its path.
    """

    def __init__(self, log):
        super().__init__(log)
        self.quick_facts = "glance", "9" * 64, "fp32"

    def quick_look(self, picture):
        self._note(picture, "quick")
        return QuickLook(self._glance(picture), picture.path.encode())

    def inspect(self, picture, kept=None):
        self._note(picture, "whole" if kept is None else f"whole, kept of {os.path.basename(kept.decode())}")
        whole, glance = self._detector.inspect(picture), self._glance(picture)
        return replace(whole, witnesses=(*whole.witnesses, *glance.witnesses))

    def _note(self, picture, look):
        with open(self._log, "a") as log:
            log.write(json.dumps([os.path.basename(picture.path), look]) + "\n")
        if picture.pixels[0, 0, 0] == (KILLS if look == "quick" else EXITS):
            os.kill(os.getpid(), signal.SIGKILL)

    def _glance(self, picture):
        inspection = self._detector.inspect(picture)
        name, sha256, _ = self.quick_facts
        score = float(picture.pixels.mean())
        return replace(
            inspection,
            model=AnsweringModel(name, sha256, score),
            witnesses=(WitnessFinding(name, sha256, score, inspection.localization_map),),
            verdict="cannot_judge",
            reason=quick_reason(name),
            detection_score=None,
            false_alarm_rate=None,
            comparison=None,
        )


class DangerousSettings(WorkerSettings):
    """Loads a `Dangerous`; its log is at the place of the calibration."""

    def detector(self):
        return Dangerous(self.calibration)


def dangerous(log, **changes):
    """Settings whose workers note in a file what they look at, one path to a line, and in another their parents."""
    values = {name: getattr(NOISE, name) for name in NOISE.__dataclass_fields__}
    return replace(DangerousSettings(**values), calibration=str(log), **changes)


class TakenOverSettings(WorkerSettings):
    """Files are parsed apart, by a program that obeys hostile ones."""

    def parser(self):
        parent.PROGRAM = HOSTILE_PROGRAM
        return super().parser()


class HastySettings(WorkerSettings):
    """Loads a `Hasty`; its log is at the place of the calibration."""

    def detector(self):
        return Hasty(self.calibration)


def hasty(log, **changes):
    """Settings whose workers take quick looks too, and note in a file what they look at, and how."""
    values = {name: getattr(NOISE, name) for name in NOISE.__dataclass_fields__}
    return replace(HastySettings(**values), calibration=str(log), **changes)


class MortalSettings(WorkerSettings):
    """Its workers end before they begin."""

    def detector(self):
        os._exit(4)


def looked_at(log):
    """The paths in a log, in order."""
    return [json.loads(line) for line in Path(log).read_text().splitlines()]
