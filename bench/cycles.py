"""Clock cycles per sample compared with the cost model: python bench/cycles.py --json

Trains on the simulated chip and compares its cycle counters with the cost model of docs/machine.md, one cycle for each
row-word and feedback entry as counted by the chip; the rest is pipeline fill, error unit and waiting. With --checkpoint
the firing rates are those of a trained network. With event data, also measures the cost of a time step without events.
"""

import argparse
import json
import sys
from itertools import islice
from pathlib import Path
from typing import Any

from opzo.host.data.data_sets import load_data
from opzo.host.data.events.event_samples import Events
from opzo.host.driver.device import Device, open_device
from opzo.host.driver.input_order import channel_last_shape
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.config import Hyperparameters
from opzo.host.training.evaluation import Samples
from opzo.host.training.schedule_registers import schedule_registers
from opzo.host.training.trainer import Trainer
from opzo.spec.commands import RunFlag
from opzo.spec.events import Chunk, encode_steps
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.network import Network
from opzo.spec.registers import Counter
from opzo.spec.rules import Input

MODEL = (Counter.INTEGRATE, Counter.FEEDBACK, Counter.LEARN)
"""Counters of row-words and feedback entries moved; each takes a cycle in the cost model."""


def measure(device: Device, samples: Samples, count: int, *, train: bool) -> dict[str, Any]:
    """Run ``count`` samples; return cycles per sample, those of the cost model, its parts, the ratio, words fired."""
    device.clear_counters()
    assert device.network is not None
    sent = samples.samples(channel_last=channel_last_shape(device.network))
    done = sum(1 for _ in device.run(islice(sent, count), train=train))
    counters = device.counters()
    counted, model = (total / done for total in cycles(device, train=train))
    return {
        "samples": done,
        "counted": round(counted, 1),
        "model": round(model, 1),
        "ratio": round(counted / model, 4),
        **{counter.name.lower(): round(counters[counter] / done, 1) for counter in (*MODEL, Counter.FIRE)},
    }


def measure_idle(device: Device, *, train: bool) -> dict[str, float]:
    """Cycles of a time step without events, counted and by the model: alone, and with its share of the run overhead."""
    totals = []
    for steps in (HISTORY_STEPS // 2, HISTORY_STEPS):
        payload = encode_steps(Chunk.of_steps([[]] * steps), graded=False)
        flags = RunFlag.TRAIN if train else RunFlag(0)
        # The second run has no traces to update.
        for fresh in (RunFlag.FRESH, RunFlag(0)):
            device.clear_counters()
            device.finish_run(device.start_run(payload, 0, flags | fresh))
        totals.append(cycles(device, train=train))
    (few, few_model), (all_, all_model) = totals
    rest = HISTORY_STEPS - HISTORY_STEPS // 2
    return {
        "counted": (all_ - few) / rest,
        "model": (all_model - few_model) / rest,
        "counted_with_start_and_end": all_ / HISTORY_STEPS,
    }


def cycles(device: Device, *, train: bool) -> tuple[int, int]:
    """Cycles since the counters were cleared, and the cost model's."""
    counters = device.counters()
    counted = counters[Counter.TRAIN_CYCLES if train else Counter.TEST_CYCLES]
    return counted, sum(counters[counter] for counter in MODEL)


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

    data = load_data(args.data, args.data_root)
    checkpoint = Checkpoint.load(args.checkpoint) if args.checkpoint else None
    if checkpoint:
        network = checkpoint.network
    elif isinstance(data.train, Events):
        network = Network.parse(args.net, data.train.steps, args.local, data.train.input)
    else:
        network = Network.parse(args.net, local=args.local)
    hyper = Hyperparameters()
    with open_device("rtl", network, args.lanes) as device:
        Trainer(device, network, hyper, checkpoint)
        device.write_registers(schedule_registers(hyper, 0, args.samples))
        figures: dict[str, Any] = {
            "network": str(network),
            "local": network.local,
            "lanes": args.lanes,
            "train": measure(device, data.train, args.samples, train=True),
            "test": measure(device, data.test, args.samples, train=False),
        }
        if network.input is Input.SPIKES:
            figures |= {f"idle_{name}": measure_idle(device, train=name == "train") for name in ("train", "test")}
    if args.json:
        print(json.dumps(figures))
        return 0
    print(f"{network}, {args.lanes} lanes")
    for kind in ("train", "test"):
        row = figures[kind]
        print(f"{kind:5}  counted {row['counted']:8.1f}  model {row['model']:8.1f}  ratio {row['ratio']:.3f}")
        if idle := figures.get(f"idle_{kind}"):
            print(
                f"       time step without events {idle['counted']:.1f}  model {idle['model']:.1f}  "
                f"with its share of a run's start and end {idle['counted_with_start_and_end']:.1f}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
