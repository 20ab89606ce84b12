"""The process that asks: it opens files, hands their bytes over, and believes no answer unchecked."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import numpy as np

from doctored.apps.file_parser import FileParser
from doctored.apps.isolation import messages
from doctored.core.errors import ConfigError, DoctoredError, ImageReadError

if TYPE_CHECKING:
    from doctored.apps.report.content_credentials import ContentCredentials
    from doctored.core.picture import Picture

SECONDS = 120.0
"""That one file may take, of the clock and of the processor."""
PROGRAM = Path(__file__).with_name("child.py")
"""What the other process runs."""

# Decoders take 7 to 18, that of lossless WebP the most, as `benchmarks/isolation.py memory` says.
_BYTES_PER_PIXEL = 32
_BYTES_PER_FILE_BYTE = 3
_OTHER_BYTES = 256_000_000
_BYTES_PER_CORE = 80_000_000  # addresses that a thread and its share of the heap reserve
# What stands for a file's name in requests and answers: the other process need not know it.
_NAME = "@picture"
_LONGEST_SUFFIX = 5
_SECONDS_TO_START = 60.0
_SECONDS_TO_END = 1.0
_PASSED_ON = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TMPDIR")


def check_supported() -> None:
    """Refuse where the operating system cannot limit a process as is needed.

    Raises:
        ConfigError: It is not Linux.
    """
    if sys.platform != "linux":
        raise ConfigError(
            f"--isolate needs limits on processes that Linux has and {sys.platform} has not; leave it out, or run "
            "doctored in a Linux container"
        )


def ending(exit_code: int | None) -> str:
    """How a process has ended, in a word or two."""
    if exit_code is not None and exit_code < 0:
        known = -exit_code in list(signal.Signals)
        return signal.Signals(-exit_code).name if known else f"signal {-exit_code}"
    return f"exit status {exit_code}"


class IsolatedParser(FileParser):
    """Parses files in a process of its own, which cannot open a file or a connection and has limited memory and time.

    One process serves all files, one at a time; after one that it did not survive another is started.

    Args:
        max_megapixels: Of the largest picture that will be asked for; the memory is counted by it.
        max_megabytes: Of the largest file.
        with_credentials: Whether Content Credentials will be asked for.
        seconds: That one file may take.

    Raises:
        ConfigError: The operating system is not Linux.
    """

    def __init__(
        self,
        max_megapixels: float,
        max_megabytes: float,
        *,
        with_credentials: bool = False,
        seconds: float = SECONDS,
    ) -> None:
        check_supported()
        self._memory_bytes = int(
            _OTHER_BYTES
            + len(os.sched_getaffinity(0)) * _BYTES_PER_CORE
            + max_megapixels * 1e6 * _BYTES_PER_PIXEL
            + max_megabytes * 1e6 * _BYTES_PER_FILE_BYTE
        )
        self._with_credentials, self._seconds = with_credentials, seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()

    def decode(self, name: str, data: bytes, *, max_megapixels: float) -> Picture:
        """As `FileParser.decode`.

        Raises:
            ImageReadError: As there, or the process did not survive the file.
        """
        request = {"do": "decode", "name": _stand_in(name), "max_megapixels": max_megapixels}
        with self._asking(name, request, data) as (answer, stream):
            facts = messages.CheckedFacts(answer.get("picture"), max_megapixels, len(data))
            pixels = np.empty((*facts.size_hw, 3), np.uint8)
            _read_into(stream, pixels.data.cast("B"))
            profile, thumbnail = (
                None if length is None else messages.read_exactly(stream, length)
                for length in (facts.profile_bytes, facts.thumbnail_bytes)
            )
        return facts.picture(pixels, profile, thumbnail, name, hashlib.sha256(data).hexdigest(), len(data))

    def check_header(self, name: str, data: bytes, *, max_megapixels: float) -> None:
        """As `FileParser.check_header`.

        Raises:
            ImageReadError: As for `decode`.
        """
        request = {"do": "check", "name": _stand_in(name), "max_megapixels": max_megapixels}
        with self._asking(name, request, data):
            pass

    def profile_name(self, profile: bytes) -> str:
        """As `FileParser.profile_name`."""
        with (
            suppress(ImageReadError),
            self._asking("the colour profile", {"do": "profile"}, profile) as (answer, _),
        ):
            return messages.text(answer.get("name"))
        return "Present but damaged."

    def check_credentials(
        self, media_type: str, data: bytes, trust_anchors: str | None
    ) -> ContentCredentials:
        """As `FileParser.check_credentials`."""
        from doctored.apps.report.content_credentials import ContentCredentials, not_checked

        request = {"do": "credentials", "media_type": media_type, "trust_anchors": trust_anchors}
        try:
            with self._asking("the file", request, data) as (answer, _):
                return ContentCredentials(**messages.credentials_of(answer.get("credentials")))
        except ImageReadError as error:
            return not_checked(str(error))

    def close(self) -> None:
        """End the process."""
        with self._turn:
            self._end()

    def __enter__(self) -> Self:
        """Start the process.

        Raises:
            DoctoredError: It cannot be started.
        """
        with self._turn:
            self._started()
        return self

    @contextmanager
    def _asking(
        self, name: str, request: dict[str, Any], data: bytes
    ) -> Iterator[tuple[dict[str, Any], IO[bytes]]]:
        """The unchecked answer to a request, and what raw bytes are read from that follow it.

        Raises:
            ImageReadError: The answer is that the file cannot be read; or something goes wrong, inside of the context
                too, after which nothing of the process is used any more.
        """
        with self._turn, self._until(process := self._started(), self._seconds) as overdue:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                messages.send(process.stdin, request | {"bytes": len(data)}, data)
                answer = messages.receive(process.stdout, messages.LONGEST_ANSWER)
                self._raise_refusal(name, request, answer)
                yield answer, process.stdout
            except ImageReadError:
                raise
            except (EOFError, OSError) as error:
                cause = self._end(wait=True)
                took_too_long = overdue.is_set() or cause == "SIGXCPU"
                how = (
                    f"took longer than {self._seconds:g} s"
                    if took_too_long
                    else f"ended the process ({cause})"
                )
                raise ImageReadError(
                    f"{name} {how} that reads files apart from the rest; it is damaged, or made to do harm"
                ) from error
            except ValueError as error:
                self._end()
                raise ImageReadError(
                    f"{name} made the process that reads files answer nonsense ({error}), of which nothing is used; "
                    "it is damaged, or made to do harm"
                ) from error
            except BaseException:
                self._end()
                raise

    def _raise_refusal(self, name: str, request: dict[str, Any], answer: dict[str, Any]) -> None:
        if answer.get("out_of_memory") is True:
            raise ImageReadError(
                f"{name} needs more than the {self._memory_bytes / 1e6:.0f} MB of memory that the process which reads "
                "files may use; raise --max-mp, by which they are counted, if you trust the file"
            )
        if "refused" in answer:
            sentence = messages.text(answer["refused"])
            raise ImageReadError(sentence.replace(request.get("name", _NAME), name))

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self._end()  # between two files, which is nobody's fault
        if self._process is None:
            self._process = self._start()
            with self._until(self._process, _SECONDS_TO_START):
                assert self._process.stdout is not None
                try:
                    answer = messages.receive(self._process.stdout, messages.LONGEST_ANSWER)
                    if "refused" in answer:
                        raise DoctoredError(messages.text(answer["refused"]))
                except (EOFError, OSError, ValueError) as error:
                    cause = self._end(wait=True)
                    raise DoctoredError(
                        f"the process that reads files cannot be started ({cause}); free some memory, or leave "
                        "--isolate out"
                    ) from error
        return self._process

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}  # nothing secret
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        environment |= {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
        needed = "credentials" if self._with_credentials else "pictures"
        return subprocess.Popen(
            # Without -P modules would be looked for beside the program first.
            [sys.executable, "-P", str(PROGRAM), str(self._memory_bytes), str(round(self._seconds)), needed],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )

    @contextmanager
    def _until(self, process: subprocess.Popen[bytes], seconds: float) -> Iterator[threading.Event]:
        """Kill the process unless the context is left in time; the event tells."""
        overdue = threading.Event()

        def give_up() -> None:
            overdue.set()
            process.kill()

        timer = threading.Timer(seconds, give_up)
        timer.daemon = True
        timer.start()
        try:
            yield overdue
        finally:
            timer.cancel()
            timer.join()
            if overdue.is_set():
                self._end()

    def _end(self, *, wait: bool = False) -> str:
        """End the process, if it has not ended by itself; says how it did."""
        process, self._process = self._process, None
        if process is None:
            return "it was ended"
        if wait:  # its pipe closes a little before it ends
            with suppress(subprocess.TimeoutExpired):
                process.wait(_SECONDS_TO_END)
        process.kill()
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            with suppress(OSError):  # what could not be sent any more
                stream.close()
        return ending(process.wait())


def file_parser(
    max_megapixels: float, max_megabytes: float, *, isolate: bool, with_credentials: bool = False
) -> FileParser:
    """What parses files: a process of its own, or this one.

    Args:
        max_megapixels: As for `IsolatedParser`, and so are the next and the last.
        max_megabytes: Of the largest file.
        isolate: Whether a process of its own is wanted.
        with_credentials: Whether Content Credentials will be asked for.

    Raises:
        ConfigError: It is wanted, and the operating system is not Linux.
    """
    if not isolate:
        return FileParser()
    return IsolatedParser(max_megapixels, max_megabytes, with_credentials=with_credentials)


def _stand_in(name: str) -> str:
    """A name with the same ending, if that is one of a file's."""
    suffix = Path(name).suffix
    return _NAME + (
        suffix if suffix[1:].isalnum() and suffix.isascii() and len(suffix) <= _LONGEST_SUFFIX else ""
    )


def _read_into(stream: IO[bytes], target: memoryview) -> None:
    done = 0
    while done < len(target):
        count = stream.readinto(target[done:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        done += count
