"""The waveform of one sample on the simulated chip, for ``opzo simulate --trace``."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from opzo.host.cli.option_types import integer
from opzo.host.cli.options import add_config, given_settings, group
from opzo.host.cli.output import print_json
from opzo.host.driver.device import Device
from opzo.host.driver.devices import simulated
from opzo.host.driver.input_order import channel_last_shape
from opzo.host.driver.link import Link
from opzo.host.driver.state import State
from opzo.host.driver.transport import Connection
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.config import Config
from opzo.host.training.configure import configure, data_of
from opzo.host.training.evaluation import Samples
from opzo.host.training.run_folder import checkpoint_path
from opzo.host.training.schedule_registers import BLOCK, schedule_registers
from opzo.spec.errors import OpzoError
from opzo.spec.messages import no_such
from opzo.spec.rules import Rule
from opzo.system.atomic import check_output

DEVICE = "rtl"
"""The simulated device that has waveforms."""
PATIENCE = 600.0
"""Seconds without a byte after which the link sends again: a cycle with all signals takes a hundred times longer."""
OPTIONS = ("sample", "train", "checkpoint")
SETTINGS = ("data", "data_root", "crop", "contrast", "rule", "seed")


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    options = group(parser, "waveform")
    options.add_argument(
        "--trace",
        type=Path,
        metavar="FILE.fst",
        help="write the waveform of one sample, and files that open it in GTKWave (.gtkw) and in Surfer (.sucl)",
    )
    # Left out where they are not given, so that they can be refused without --trace.
    options.add_argument(
        "--sample",
        type=integer(0),
        default=argparse.SUPPRESS,
        metavar="N",
        help="index of the sample in the test set, with --train in the training set (default: 0)",
    )
    options.add_argument("--train", action="store_true", default=argparse.SUPPRESS, help="learn from the sample")
    options.add_argument(
        "--checkpoint",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="RUN",
        help="run folder or checkpoint of opzo train whose network runs (default: initial weights)",
    )
    add_config(parser, SETTINGS)


def check_no_options(arguments: argparse.Namespace) -> None:
    """Raise OpzoError where an option is given that only a waveform has."""
    for name in (*OPTIONS, *SETTINGS):
        if name in vars(arguments):
            raise OpzoError(f"--{name.replace('_', '-')} is an option of a waveform; give --trace FILE.fst too")
    if arguments.json:
        raise OpzoError("--json prints the facts of a waveform; give --trace FILE.fst too")


@dataclass(frozen=True)
class _Setup:
    """What the chip gets before the sample: a network with its state, and the registers of the learning rule."""

    config: Config
    samples: Samples
    rule: Rule
    state: State
    done: int
    """Training samples before it."""

    @classmethod
    def of(cls, values: dict[str, Any], checkpoint: Path | None, *, train: bool) -> "_Setup":
        if checkpoint is None:
            data, config = configure(values)
            rule = Rule.parse(config.rule)
            limits = config.network.limits(config.lanes, config.weight_bits)
            state, done = State.initial(config.network, rule, config.seed, limits), 0
            samples = data.train if train else data.test
        else:
            stored = Checkpoint.load(checkpoint_path(checkpoint))
            if "data" not in stored.settings | values:
                raise OpzoError(f"{checkpoint} does not state its training data; give --data")
            config = stored.config({"device": DEVICE} | values, str(checkpoint))
            data = data_of(config, stored.contrast)
            rule, state = stored.rule, stored.state
            samples = data.train if train else data.test
            done = stored.epoch * len(data.train) + stored.position
        samples.check(config.network, config.data)
        return cls(config, samples, rule, state, done)


def write_waveform(arguments: argparse.Namespace) -> int:
    """Run the sample and write its waveform; exit code."""
    path: Path = arguments.trace
    if path.suffix != ".fst":
        raise OpzoError(f"--trace must name a file that ends in .fst, not {path}")
    values, train = given_settings(arguments), "train" in vars(arguments)
    if values.setdefault("device", DEVICE) != DEVICE:
        raise no_such("device with waveforms", values["device"], [DEVICE])
    files = [path.with_suffix(suffix) for suffix in (".fst", ".gtkw", ".sucl")]
    for file in files:
        check_output(file)
    setup = _Setup.of(values, getattr(arguments, "checkpoint", None), train=train)
    index, count = getattr(arguments, "sample", 0), len(setup.samples)
    if index >= count:
        part = "training" if train else "test"
        raise OpzoError(f"the {part} set of {setup.config.data} has samples 0..{count - 1}; there is no {index}")
    network = setup.config.network
    network.check(limits := network.limits(setup.config.lanes, setup.config.weight_bits))
    (sample,) = setup.samples.samples(np.array([index]), channel_last=channel_last_shape(network))
    chip: Any = simulated(DEVICE, limits, traced=True)
    with Device(DEVICE, Link(Connection.over(chip, DEVICE, PATIENCE))) as device:
        device.configure(network, setup.rule)
        setup.state.write(device)
        if train:
            total = max(setup.config.epochs * len(setup.samples), setup.done + 1)
            device.write_registers(schedule_registers(setup.config, setup.done - setup.done % BLOCK, total))
        try:
            chip.start_waveform(path)
        except OSError as error:
            raise OpzoError(f"cannot write {error.filename or path}: {error.strerror}; give another --trace") from None
        begin = chip.cycles
        (result,) = device.run([sample], train=train)
        chip.end_waveform()
        cycles = chip.cycles - begin
    facts: dict[str, Any] = {
        "files": list(map(str, files)),
        "data": setup.config.data,
        "sample": index,
        "train": train,
        "network": str(network),
        "rule": setup.rule.name.lower(),
        "label": sample.label,
        "prediction": result.prediction,
        "cycles": cycles,
        "lanes": limits.lanes,
    }
    if arguments.json:
        print_json(facts)
    else:
        print(f"{path}: sample {index} of {setup.config.data}{', learning' if train else ''}, {cycles:,} cycles")
        print(f"class {sample.label}, prediction {result.prediction}")
        print(f"open it with: gtkwave {files[1]}")
        print(f"          or: surfer --command-file {files[2]} {path}")
    return 0
