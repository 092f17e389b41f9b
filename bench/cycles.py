"""Clock cycles of a sample against the cost model: python bench/cycles.py --json

Trains on the simulated chip and compares its cycle counters with DESIGN's cost model, which the counters of row-words
and feedback entries give exactly: what is above it is pipeline fill, error unit and waiting. A checkpoint to start from
(--checkpoint) makes the firing rates those of a trained network.
"""

import argparse
import json
import sys
from itertools import islice
from pathlib import Path

from opzo.host.checkpoint import Checkpoint
from opzo.host.config import Hyperparameters
from opzo.host.data import Frames, load_data
from opzo.host.device import Device, open_device
from opzo.host.rates import rate_registers
from opzo.host.trainer import Trainer
from opzo.spec.network import Network
from opzo.spec.registers import Counter

MODEL = (Counter.INTEGRATE, Counter.FEEDBACK, Counter.LEARN)
"""What moves a row-word or a feedback entry: a cycle each in the cost model."""


def measure(device: Device, frames: Frames, count: int, *, train: bool) -> dict[str, float]:
    """Run ``count`` samples; cycles a sample, the model's, and their ratio."""
    device.clear_counters()
    done = sum(1 for _ in device.run(islice(frames.samples(), count), train=train))
    counters = device.counters()
    counted = counters[Counter.TRAIN_CYCLES if train else Counter.TEST_CYCLES] / done
    model = sum(counters[counter] for counter in MODEL) / done
    return {"samples": done, "counted": round(counted, 1), "model": round(model, 1), "ratio": round(counted / model, 4)}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="64-64-64-10", help="neurons of each layer (default: %(default)s)")
    parser.add_argument("--local", type=int, default=0, help="hidden layers with a local read-out (default: none)")
    parser.add_argument("--lanes", type=int, default=16, help="lanes of the chip (default: %(default)s)")
    parser.add_argument("--data", default="digits", help="digits, mnist or a file (default: %(default)s)")
    parser.add_argument("--data-root", help="folder of the MNIST files")
    parser.add_argument("--checkpoint", type=Path, help="network to start from (default: an untrained one)")
    parser.add_argument("--samples", type=int, default=1000, help="samples of each kind (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()

    data = load_data(args.data, args.data_root)
    checkpoint = Checkpoint.load(args.checkpoint) if args.checkpoint else None
    network = checkpoint.network if checkpoint else Network.parse(args.net, local=args.local)
    hyper = Hyperparameters()
    with open_device("rtl", network, args.lanes) as device:
        Trainer(device, network, hyper, checkpoint)
        device.write_registers(rate_registers(hyper, 0, args.samples))
        figures = {
            "network": str(network),
            "local": network.local,
            "lanes": args.lanes,
            "train": measure(device, data.train, args.samples, train=True),
            "test": measure(device, data.test, args.samples, train=False),
        }
    if args.json:
        print(json.dumps(figures))
        return 0
    print(f"{network}, {args.lanes} lanes")
    for kind in ("train", "test"):
        row = figures[kind]
        print(f"{kind:5}  counted {row['counted']:8.1f}  model {row['model']:8.1f}  ratio {row['ratio']:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
