"""Commands that write files, for the storms of kills and power cuts: what resumes them, what they must leave."""

import fcntl
import os
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

import numpy as np

from opzo.host.cli.commands import sweep
from opzo.host.cli.jobs import Jobs
from opzo.host.cli.main import main
from opzo.host.data.events.event_files import save_events
from opzo.host.data.events.event_samples import Events
from storms import tool_stubs
from storms.readers import read

TRIES = 5
"""Times that a sweep is resumed while runs of a killed one may still be ending."""
TRAIN = ["--device", "fast", "--net", "9-8-3", "--lanes", "4"]


class Job(ABC):
    """A command in a folder of its own, which is the working folder of its processes.

    Parameters
    ----------
    folder : Path
        Empty.
    in_process : bool
        Whether all is done in one process, also what ``opzo sweep`` leaves to others.
    """

    name: ClassVar[str]
    resumes: ClassVar[bool] = False
    """Whether the command goes on with what an earlier one has left; else it replaces it."""

    def __init__(self, folder: Path, *, in_process: bool = False) -> None:
        self.folder, self._in_process = folder, in_process
        self._known: dict[tuple[str, bytes], Any] = {}

    @abstractmethod
    def prepare(self) -> None:
        """Write the inputs."""

    def write_old(self) -> int:
        """Write an output with other content, as an earlier command would have left it; exit code."""
        return main(self.other_command())

    def other_command(self) -> list[str]:
        """Command whose output differs; only for those that do not resume."""
        raise NotImplementedError

    @property
    @abstractmethod
    def output(self) -> Path:
        """File or folder that the command writes; everything else in the folder is input."""

    @abstractmethod
    def command(self) -> list[str]:
        """Arguments of the command, or of the one that the documentation names to resume what is there."""

    def settled(self) -> bool:
        """Whether no process works on the output any more."""
        return True

    def run(self) -> int:
        """Run the command in this process; exit code."""
        return main(self.command())

    def result(self) -> dict[str, Any]:
        """All files of the output by name, read by their readers and without what depends on time.

        Raises an exception where one is damaged.
        """
        files = sorted(path for path in [self.output, *self.output.rglob("*")] if path.is_file())
        # Names with a dot are temporary files, whose leftovers are no results.
        names = {str(path.relative_to(self.folder)): path for path in files}
        return {name: self._read(path) for name, path in names.items() if not re.search(r"(^|/)\.", name)}

    def _read(self, path: Path) -> Any:
        """What `read` says; each content is read once."""
        key = path.name, path.read_bytes()
        if key not in self._known:
            self._known[key] = read(path)
        return self._known[key]

    def check(self, old: dict[str, Any], new: dict[str, Any]) -> str:
        """What is wrong with what a killed command has left, '' if nothing is.

        ``old`` is the output before it, ``new`` that of an undisturbed command.
        """
        try:
            left = self.result()
        except Exception as error:
            return f"damaged: {error!r}"
        if self.resumes:
            return ""
        return ", ".join(name for name, content in left.items() if content not in (old.get(name), new.get(name)))


class Train(Job):
    """``opzo train``, resumed by ``--resume``; with checkpoints within epochs."""

    name, resumes = "train", True

    def prepare(self) -> None:
        random = np.random.default_rng(0)
        y = np.arange(260) % 3
        x = np.clip(np.kron(np.eye(3), np.ones(3))[y] * 200 + random.integers(0, 55, (260, 9)), 0, 255)
        np.savez(self.folder / "images.npz", x_train=x[:200], y_train=y[:200], x_test=x[200:], y_test=y[200:])

    @property
    def output(self) -> Path:
        return self.folder / "run"

    def command(self) -> list[str]:
        if (self.output / "config.toml").exists():
            return ["train", "--resume", "run", "--json"]
        # Killed before anything was written: there is nothing to resume.
        options = ["--data", "images.npz", "--out", "run", "--epochs", "6", "--checkpoint-every", "64", "--json"]
        return ["train", *options, *TRAIN]


class Sweep(Train):
    """``opzo sweep`` of two runs, resumed by the same command."""

    name, resumes = "sweep", True

    def prepare(self) -> None:
        super().prepare()
        settings = 'data = "images.npz"\nnet = "9-8-3"\ndevice = "fast"\nlanes = 4\nepochs = 4\ncheckpoint_every = 64\n'
        (self.folder / "sweep.toml").write_text(f"[settings]\n{settings}[sweep]\nseed = [0, 1]\n")

    def command(self) -> list[str]:
        return ["sweep", "sweep.toml", "--out", "run", "--jobs", "2", "--json"]

    def settled(self) -> bool:
        for place in self.output.glob("*/"):
            descriptor = os.open(place, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            finally:
                os.close(descriptor)
        return True

    def run(self) -> int:
        # Runs that a killed sweep has left may not have ended yet; the same command resumes them.
        with patch.object(sweep, "Jobs", OwnProcess if self._in_process else Jobs):
            for _ in range(TRIES):
                if not (code := main(self.command())):
                    break
        return code


class OwnProcess:
    """In the place of ``Jobs``: runs the commands one after the other in this process."""

    def __init__(self, count: int, log: object, stopping: object) -> None:
        self.stopped = False

    def run(self, commands: Sequence[Sequence[str]]) -> Generator[tuple[int, int]]:
        for index, command in enumerate(commands):
            yield index, main(list(command))


class Stream(Job):
    """``opzo stream --save``, run again; every other time over a file of an earlier stream."""

    name = "stream --save"

    def prepare(self) -> None:
        random = np.random.default_rng(0)
        y = np.arange(40) % 3
        spikes = (random.random((40, 12, 9)) < 0.1 + 0.5 * np.kron(np.eye(3), np.ones(3))[y][:, None]).astype(np.uint8)
        events = Events.from_frames(spikes, y)
        save_events(self.folder / "events.npz", events[:30], events[30:], "a storm")
        run = ["train", "--data", "events.npz", "--out", "trained", "--epochs", "1", "--quiet", "--json", *TRAIN]
        main(run)

    @property
    def output(self) -> Path:
        return self.folder / "after.npz"

    def command(self) -> list[str]:
        return ["stream", "trained", "events.npz", "--learn", "--save", "after.npz", "--json"]

    def other_command(self) -> list[str]:
        return [*self.command(), "--rate", "200"]


class Convert(Job):
    """``opzo data convert`` of a folder of recordings, run again."""

    name = "data convert"

    def prepare(self) -> None:
        random = np.random.default_rng(0)
        for number in range(60):
            times = np.sort(random.integers(0, 300_000, 400))
            x, y, p = random.integers(0, 34, 400), random.integers(0, 34, 400), random.integers(0, 2, 400)
            columns = x, y, p << 7 | times >> 16, times >> 8 & 255, times & 255
            place = self.folder / "recordings" / str(number % 3)
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{number}.bin").write_bytes(np.stack(columns, 1).astype(np.uint8).tobytes())

    @property
    def output(self) -> Path:
        return self.folder / "data.npz"

    def command(self) -> list[str]:
        return ["data", "convert", "recordings", "--out", "data.npz", "--json"]

    def other_command(self) -> list[str]:
        return [*self.command(), "--steps", "3"]


class Build(Job):
    """``opzo build``, run again. The gateware is made; the tools are stubs that write small files."""

    name = "build"

    def prepare(self) -> None:
        pass

    @property
    def output(self) -> Path:
        return self.folder / "built"

    def command(self) -> list[str]:
        chip = ["--net", "16-8-4", "--lanes", "4"]
        return ["build", "--board", "ulx3s-25f", *chip, "--out", "built", "--json", "--quiet"]

    def other_command(self) -> list[str]:
        return [*self.command(), "--seed", "2"]

    def run(self) -> int:
        return self._with_stubs(self.command())

    def write_old(self) -> int:
        return self._with_stubs(self.other_command())

    def _with_stubs(self, command: list[str]) -> int:
        with tool_stubs.installed(), patch.dict(os.environ, {"OPZO_CACHE": str(self.folder / "cache")}):
            return main(command)

    def check(self, old: dict[str, Any], new: dict[str, Any]) -> str:
        if wrong := super().check(old, new):
            return wrong
        left = self.result()
        # The result is what says that a build is complete.
        return "a result of a mixed build" if "built/result.json" in left and left not in (old, new) else ""


JOBS: tuple[type[Job], ...] = (Train, Sweep, Stream, Convert, Build)


def in_folder(folder: Path, work: Callable[[], Any]) -> None:
    """Run ``work`` in a working folder, with its output discarded."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        with (
            open(os.devnull, "w") as nowhere,
            patch.object(sys, "stdout", nowhere),
            patch.object(sys, "stderr", nowhere),
        ):
            work()
    finally:
        os.chdir(before)
