"""Clock cycles per sample compared with the cost model: python bench/cycles.py --json

Runs the same samples through the simulated chip and through the compiled model, which counts the cycles of the cost
model of docs/machine.md; the rest is pipeline fill, error unit and waiting. All other counters of the two must be
equal. With --checkpoint the firing rates are those of a trained network. With event data, also measures the cost of a
time step without events.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from opzo.host.data.data_sets import load_data
from opzo.host.data.events.event_samples import Events
from opzo.host.driver.device import Device, open_device
from opzo.host.driver.input_order import channel_last_shape
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.config import Config, Hyperparameters
from opzo.host.training.evaluation import Samples
from opzo.host.training.schedule_registers import schedule_registers
from opzo.host.training.trainer import Trainer
from opzo.spec.commands import RunFlag
from opzo.spec.errors import OpzoError
from opzo.spec.events import Chunk, encode_steps
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.network import Network
from opzo.spec.registers import TIMING_COUNTERS, Counter
from opzo.spec.rules import Input

DEVICES = {"counted": "rtl", "model": "fast"}
"""Devices whose counters give the cycles of the chip and of the cost model."""
SHOWN = (Counter.INTEGRATE, Counter.FEEDBACK, Counter.LEARN, Counter.ACCUMULATE, Counter.FIRE)


@contextmanager
def both(network: Network, lanes: int) -> Iterator[dict[str, Device]]:
    """The chip and the compiled model, by the names in `DEVICES`."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(open_device(device, network, lanes)) for name, device in DEVICES.items()}


def measure(devices: dict[str, Device], samples: Samples, count: int, *, train: bool) -> dict[str, Any]:
    """Run ``count`` samples; return cycles per sample, those of the cost model, their ratio, and what was counted."""
    counters = {}
    for name, device in devices.items():
        device.clear_counters()
        assert device.network is not None
        sent = samples.samples(channel_last=channel_last_shape(device.network))
        done = sum(1 for _ in device.run(islice(sent, count), train=train))
        counters[name] = device.counters()
    for counter in Counter:
        counts = [each[counter] for each in counters.values()]
        if counter not in TIMING_COUNTERS and len(set(counts)) > 1:
            raise OpzoError(f"counter {counter.name} is {counts[0]} in the chip and {counts[1]} in the compiled model")
    cycles = {name: each[_cycles(train=train)] / done for name, each in counters.items()}
    return {
        "samples": done,
        **{name: round(each, 1) for name, each in cycles.items()},
        "ratio": round(cycles["counted"] / cycles["model"], 4),
        **{counter.name.lower(): round(counters["counted"][counter] / done, 1) for counter in SHOWN},
    }


def measure_idle(devices: dict[str, Device], *, train: bool) -> dict[str, float]:
    """Cycles of a time step without events, counted and by the model: alone, and with its share of the run overhead."""
    figures = {}
    for name, device in devices.items():
        totals = []
        for steps in (HISTORY_STEPS // 2, HISTORY_STEPS):
            payload = encode_steps(Chunk.of_steps([[]] * steps), graded=False)
            flags = RunFlag.TRAIN if train else RunFlag(0)
            # The second run has no traces to update.
            for fresh in (RunFlag.FRESH, RunFlag(0)):
                device.clear_counters()
                device.finish_run(device.start_run(payload, 0, flags | fresh))
            totals.append(device.counters()[_cycles(train=train)])
        few, all_ = totals
        figures[name] = (all_ - few) / (HISTORY_STEPS - HISTORY_STEPS // 2)
        figures[f"{name}_with_start_and_end"] = all_ / HISTORY_STEPS
    return figures


def _cycles(*, train: bool) -> Counter:
    return Counter.TRAIN_CYCLES if train else Counter.TEST_CYCLES


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="64-64-64-10", help="neurons of each layer (default: %(default)s)")
    parser.add_argument("--local", type=int, default=0, help="hidden layers with a local readout (default: none)")
    parser.add_argument("--lanes", type=int, default=16, help="lanes of the chip (default: %(default)s)")
    parser.add_argument("--data", default="digits", help="data set or file (default: %(default)s)")
    parser.add_argument("--data-root", default="", help="folder of the data set's files, if it has any")
    parser.add_argument("--checkpoint", type=Path, help="network to start from (default: an untrained one)")
    parser.add_argument("--samples", type=int, default=1000, help="samples of each kind (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    try:
        figures = compare(args)
    except OpzoError as error:
        print(f"opzo: error: {error}", file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps(figures))
        return 0
    print(f"{figures['network']}, {args.lanes} lanes")
    for kind in ("train", "test"):
        row = figures[kind]
        print(f"{kind:5}  counted {row['counted']:9.1f}  model {row['model']:9.1f}  ratio {row['ratio']:.3f}")
        if idle := figures.get(f"idle_{kind}"):
            print(
                f"       time step without events {idle['counted']:.1f}  model {idle['model']:.1f}  "
                f"with its share of a run's start and end {idle['counted_with_start_and_end']:.1f}"
            )
    return 0


def compare(args: argparse.Namespace) -> dict[str, Any]:
    """Figures of the chip and of the cost model."""
    checkpoint = Checkpoint.load(args.checkpoint) if args.checkpoint else None
    coding = checkpoint.contrast if checkpoint else None
    data = load_data(args.data, args.data_root, contrast=coding)
    if checkpoint:
        network = checkpoint.network
    elif isinstance(data.train, Events):
        network = Network.parse(args.net, data.train.steps, args.local, data.train.input)
    else:
        network = Network.parse(args.net, local=args.local)
    hyper = Config.of(checkpoint.settings, str(args.checkpoint)) if checkpoint else Hyperparameters()
    with both(network, args.lanes) as devices:
        for device in devices.values():
            Trainer(device, network, hyper, checkpoint)
            device.write_registers(schedule_registers(hyper, 0, args.samples))
            device.forget_magnitudes()
        figures: dict[str, Any] = {
            "network": str(network),
            "local": network.local,
            "intermediate": network.intermediate,
            "lanes": args.lanes,
            "train": measure(devices, data.train, args.samples, train=True),
            "test": measure(devices, data.test, args.samples, train=False),
        }
        if network.input is Input.SPIKES:
            figures |= {f"idle_{name}": measure_idle(devices, train=name == "train") for name in ("train", "test")}
    return figures


if __name__ == "__main__":
    sys.exit(main())
