"""A progress bar that stays out of the way of results."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress


class ProgressBar:
    """A bar on standard error while people watch; nothing if it goes into a file or a pipe.

    Leaving its context removes it, also after an error.

    Args:
        what: What is counted, for instance "pictures".
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self.watched = sys.stderr is not None and sys.stderr.isatty()
        self._bar: Progress | None = None

    def show(self, done: float, total: int, note: str = "") -> None:
        """Draw the bar, or draw it anew.

        Args:
            done: How many are done; a fraction is the share of the one at work.
            total: How many there are.
            note: What else there is to say, behind the bar.
        """
        if not self.watched:
            return
        if self._bar is None:
            self._bar = self._new_bar()
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done, total=total, note=note)

    def hide(self) -> None:
        """Remove the bar, so that something can be printed; the next `show` brings it back."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _new_bar(self) -> "Progress":
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        # What others print must not be caught and moved to standard error.
        bar = Progress(
            TextColumn(self._what),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        bar.add_task(self._what, note="")
        return bar

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.hide()
