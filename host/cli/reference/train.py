"""``opzo reference train``: train a network with a method of the paper in floating point, with PyTorch."""

from __future__ import annotations

import argparse
import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress

from opzo.host.cli.exit_codes import DONE, INTERRUPTED
from opzo.host.cli.option_types import integer, number
from opzo.host.cli.options import add_output
from opzo.host.cli.output import log, print_json
from opzo.spec.errors import OpzoError
from opzo.system.atomic import check_output
from opzo.system.folder_lock import locked, remove_leftovers, unique_folder
from opzo.system.paths import absolute

if TYPE_CHECKING:
    from opzo.reference.methods.totals import Totals
    from opzo.reference.runs.run import ReferenceRun
    from opzo.reference.runs.training import Epoch, Training

SETTINGS = (
    *("method", "local", "intermediate", "noise", "place", "independent", "epochs", "batch", "rate", "decay"),
    *("dropout", "momentum", "alpha_first", "alpha_last", "seed", "probes"),
    *("data_root", "train_samples", "test_samples", "weights"),
)
"""Options that a resumed run does not accept."""
TABLE_HEAD = "epoch   alpha  train %  train loss   test %  test loss  seconds  firing rates"
THREADS_MAX = 1024

logger = logging.getLogger(__name__)


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    start = parser.add_mutually_exclusive_group(required=True)
    start.add_argument(
        "--preset", metavar="NAME", help="data, network and hyper-parameters: mnist-fc, cifar10-conv5, ..."
    )
    start.add_argument("--resume", type=Path, metavar="DIR", help="resume the run in this folder")
    # Options that are not given are left out, so that the preset applies.
    parser.argument_default = argparse.SUPPRESS
    parser.add_argument("--method", help="bp, dfa, dkp, zo or opzo (default: opzo)")
    parser.add_argument("--local", action="store_true", help="add local learning")
    parser.add_argument(
        "--intermediate",
        action="store_true",
        help="add intermediate global learning",
    )
    parser.add_argument("--noise", metavar="KIND", help="noise: gaussian or rademacher (default: preset's)")
    parser.add_argument("--place", help="place of the noise: after or before the neurons (default: preset's)")
    parser.add_argument(
        "--independent",
        action="store_true",
        help="draw new noise in every time step, not in every second one",
    )
    for name, kind, text in (
        ("epochs", integer(1), "epochs"),
        ("batch", integer(1), "samples per step of the optimizer"),
        ("rate", number(0), "step size at the start"),
        ("decay", number(0), "weight decay"),
        ("dropout", number(0, 1), "share of neurons dropped in training"),
        ("momentum", number(0, 1), "momentum of the feedback matrices of OPZO"),
        ("alpha-first", number(0), "noise amplitude in the first epoch"),
        ("alpha-last", number(0), "noise amplitude in the last epoch"),
    ):
        metavar = "N" if name in ("epochs", "batch") else "X"
        parser.add_argument(f"--{name}", type=kind, metavar=metavar, help=f"{text} (default: preset's)")
    parser.add_argument(
        "--seed", type=integer(0), metavar="N", help="random seed; the paper uses 2022, 0 and 1 (default: 2022)"
    )
    parser.add_argument(
        "--probes",
        type=integer(0),
        metavar="N",
        help="batches per epoch on which gradients are compared with those of bp (default: 0)",
    )
    parser.add_argument("--data-root", metavar="DIR", help="folder of the data set's files (default: none)")
    parser.add_argument("--train-samples", type=integer(1), metavar="N", help="training samples (default: all)")
    parser.add_argument("--test-samples", type=integer(1), metavar="N", help="test samples (default: all)")
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="DIR",
        help="run folder whose network to start with (default: none)",
    )
    parser.argument_default = None
    parser.add_argument("--device", default="cpu", help="device of PyTorch: cpu, cuda, ... (default: cpu)")
    parser.add_argument(
        "--threads",
        type=integer(1, THREADS_MAX),
        default=None,
        metavar="N",
        help="threads on the CPU; results differ in the last bits (default: as PyTorch chooses)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="run folder (default: a new one in runs/reference/)")
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train and print figures; exit code."""
    import torch

    from opzo.reference.runs.run import ReferenceRun
    from opzo.reference.runs.training import CHECKPOINT, load_run, start, torch_device

    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    torch_device(arguments.device)
    folder: Path
    if arguments.resume:
        _check_resume(arguments)
        folder = arguments.resume
        # A missing folder cannot be locked; load_run reports it.
        with _locked(folder) if folder.is_dir() else nullcontext():
            return _ReferenceSession(arguments, load_run(folder, arguments.device), folder).run()

    def check_free() -> None:
        if (folder / CHECKPOINT).exists():
            raise OpzoError(f"{folder} already holds a run; resume it with --resume {folder}, or give another --out")

    plan = ReferenceRun.of(arguments.preset, _given(arguments))
    folder = arguments.out or _new_folder(arguments.preset, plan)
    check_output(folder, folder=True)
    check_free()
    training = start(plan, arguments.device)
    if not arguments.out:
        folder = unique_folder(folder)
    with _locked(folder):
        check_free()
        return _ReferenceSession(arguments, training, folder).run()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock the folder; OpzoError where another process has locked it."""
    from opzo.reference.runs.training import CHECKPOINT, METRICS, NETWORK

    with locked(folder, f"another process is training in {folder}; wait for it or stop it"):
        remove_leftovers(folder, (CHECKPOINT, METRICS, NETWORK))
        yield


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    """Settings that the user gave, by name."""
    values = {key: value for key, value in vars(arguments).items() if key in SETTINGS}
    for key in ("data_root", "weights"):
        if key in values:
            values[key] = absolute(str(values[key]))
    return values


def _check_resume(arguments: argparse.Namespace) -> None:
    other = [f"--{key.replace('_', '-')}" for key in SETTINGS if key in vars(arguments)]
    other += ["--out"] if arguments.out else []
    if other:
        raise OpzoError(f"a resumed run keeps its settings; leave {', '.join(other)} out, or start a new run")


def _new_folder(preset: str, plan: ReferenceRun) -> Path:
    name = f"{preset}-{plan.recipe.method.label}-seed{plan.recipe.seed}-{time.strftime('%Y%m%d-%H%M%S')}"
    return Path("runs") / "reference" / name


class _ReferenceSession:
    """Runs a training and prints its progress."""

    def __init__(self, arguments: argparse.Namespace, training: Training, folder: Path) -> None:
        self._json: bool = arguments.json
        self._training, self._folder = training, folder
        self._console = Console(stderr=True)
        self._quiet: bool = arguments.quiet or not self._console.is_terminal

    def run(self) -> int:
        """Train to the end or to a Ctrl-C; exit code."""
        training, epochs = self._training, self._training.recipe.epochs
        begin = time.monotonic()
        training.save(self._folder)
        if training.epoch >= epochs:
            logger.info("nothing is left to do in %s: all %d epochs are trained", self._folder, epochs)
        elif not self._json:
            print(TABLE_HEAD, flush=True)
        try:
            while training.epoch < epochs:
                with Progress(console=self._console, disable=self._quiet, transient=True) as bar:
                    task = bar.add_task(f"epoch {training.epoch + 1}/{epochs}", total=training.samples)

                    def show(tally: Totals, bar: Progress = bar, task: Any = task) -> None:
                        bar.update(task, completed=tally.samples, description=f"{tally.accuracy:.1%}")

                    epoch = training.run_epoch(show)
                training.save(self._folder)
                if not self._json:
                    print(_row(epoch), flush=True)
        except KeyboardInterrupt:
            resume = f"opzo reference train --resume {self._folder}"
            log(f"opzo: interrupted in epoch {training.epoch + 1}; resume with: {resume}")
            return INTERRUPTED
        # JSON has no infinite numbers.
        last = {name: value if math.isfinite(value) else None for name, value in training.rows[-1].items()}
        figures = asdict(training.run) | last
        figures |= {"input_mean": training.data.mean, "input_std": training.data.std}
        figures |= {"seconds": time.monotonic() - begin, "run_folder": str(self._folder)}
        if self._json:
            print_json(figures)
        else:
            print(f"test accuracy {figures['test_accuracy']:.2%}; run folder {self._folder}")
            if training.recipe.network == "fc" and training.data.steps is None:
                print(f"import to the chip with: {self._import()}")
        return DONE

    def _import(self) -> str:
        """Command that imports the network to the chip."""
        data, recipe = self._training.data, self._training.recipe
        sizes = [math.prod(data.shape), *(math.prod(shape) for shape in self._training.learner.shapes), data.classes]
        options = f"--net {'-'.join(map(str, sizes))} --steps {recipe.steps}"
        scaling = f"--one 1 --mean {data.mean[0]:.8g} --std {data.std[0]:.8g}"
        return f"opzo import {self._folder}/network.pt {options} {scaling} --out {self._folder}/chip.npz"


def _row(epoch: Epoch) -> str:
    rates = " ".join(f"{rate:.3f}" for rate in epoch.firing_rates)
    return (
        f"{epoch.epoch:5d}  {epoch.alpha:6.3f}  {100 * epoch.train_accuracy:7.2f}  {epoch.train_loss:10.4f}"
        f"  {100 * epoch.test_accuracy:7.2f}  {epoch.test_loss:9.4f}  {epoch.seconds:7.1f}  {rates}"
    )
