"""Progress of a task with stages: the name and time of each stage, on stderr."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from opzo.host.cli.output import log


class StageTimer:
    """Shows the current stage and its time; where stderr is not a terminal, prints a line for each stage.

    Parameters
    ----------
    enabled : bool
        False to print nothing.
    """

    def __init__(self, *, enabled: bool = True) -> None:
        console = Console(stderr=True)
        self._lines = enabled and not console.is_terminal
        self._bar = Progress(
            SpinnerColumn(finished_text="*"),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            disable=not (enabled and console.is_terminal),
        )

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self._finish()
        self._bar.stop()

    def begin(self, stage: str) -> None:
        """Finish the previous stage and start this one."""
        self._finish()
        self._bar.add_task(stage, total=1)
        if self._lines:
            log(f"opzo: {stage}")

    def note(self, text: str) -> None:
        """Print a line above the stages."""
        if self._lines:
            log(f"opzo: {text}")
        elif not self._bar.disable:
            self._bar.console.print(f"opzo: {text}", highlight=False, markup=False, soft_wrap=True)

    def _finish(self) -> None:
        for task in self._bar.tasks:
            self._bar.update(task.id, completed=1)
