"""Measure the speed of the simulated chip: python bench/simulation.py --lanes 16 --json

Trains on digits (or on noise images of the network's input size) and prints clock cycles per second of the rtl device,
with and without the driver (CPU time), samples per second, and the time to load the chip: that of compiling it, or a
fraction of a second if it is in the cache.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator

import numpy as np

from opzo.host.data.data_sets import encode_frame, load_data
from opzo.host.data.images.frames import Frames
from opzo.host.driver.device import Device
from opzo.host.driver.link import Link
from opzo.host.driver.sample import Sample
from opzo.host.driver.transport import Connection
from opzo.host.training.config import Hyperparameters
from opzo.host.training.schedule_registers import schedule_registers
from opzo.host.training.trainer import Trainer
from opzo.sim.rtl.transport import RtlTransport
from opzo.spec.network import Network

DIGITS_INPUTS = 64
NOISE_DENSITY = 0.19
"""Share of non-zero pixels, as in MNIST."""


class TimedTransport(RtlTransport):
    """Simulated chip that measures its own CPU time, without the driver's."""

    seconds = 0.0

    def read(self, timeout: float) -> bytes:
        begin = time.thread_time()
        data = super().read(timeout)
        self.seconds += time.thread_time() - begin
        return data


def samples(network: Network, count: int) -> Iterator[Sample]:
    """Training samples for the network's inputs and classes."""
    if network.inputs == DIGITS_INPUTS and network.classes >= 10:
        train = load_data("digits").train
        assert isinstance(train, Frames)
        for index in range(count):
            at = index % len(train.y)
            yield Sample((encode_frame(train.x[at]),), int(train.y[at]))
        return
    rng = np.random.default_rng(1)
    for _ in range(count):
        frame = rng.integers(0, 256, network.inputs, dtype=np.uint8) * (rng.random(network.inputs) < NOISE_DENSITY)
        yield Sample((encode_frame(frame.astype(np.uint8)),), int(rng.integers(network.classes)))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="64-64-64-10", help="neurons of each layer (default: %(default)s)")
    parser.add_argument("--lanes", type=int, default=16, help="lanes of the chip (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=1000, help="training samples (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()

    network = Network.parse(args.net)
    begin = time.perf_counter()
    transport = TimedTransport(network.limits(args.lanes))
    built = time.perf_counter() - begin
    device = Device("rtl", Link(Connection.over(transport, "rtl", patience=120.0)))
    hyper = Hyperparameters()
    Trainer(device, network, hyper)
    device.write_registers(schedule_registers(hyper, 0, args.samples))
    work = list(samples(network, args.samples))
    cycles, wall, chip = transport.cycles, time.perf_counter(), transport.seconds
    correct = sum(
        result.prediction == sample.label for result, sample in zip(device.run(work, train=True), work, strict=True)
    )
    cycles, wall, chip = transport.cycles - cycles, time.perf_counter() - wall, transport.seconds - chip
    figures = {
        "net": str(network),
        "lanes": args.lanes,
        "samples": args.samples,
        "cycles_per_second": round(cycles / wall),
        "chip_cycles_per_cpu_second": round(cycles / chip),
        "samples_per_second": round(args.samples / wall, 1),
        "cycles_per_sample": round(cycles / args.samples, 1),
        "train_accuracy": round(correct / args.samples, 4),
        "start_seconds": round(built, 2),
    }
    device.close()
    if args.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
