"""How busy the engine is while it trains from the sample store: python bench/store.py --json

Trains on blocks of samples of the store of the simulated chip, two blocks under way, and divides the cycles in which
the engine works on a run (TRAIN_CYCLES) by all cycles from the first byte of the first block to the last byte of the
last reply. Synthetic images, or with --data those of a data set, shifted and in shuffled order. All answers must be
those of the compiled model. The memory behind the store takes commands and words in 7 of 8 cycles.
"""

import argparse
import json
import sys
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from opzo.host.data.data_sets import load_data
from opzo.host.driver.device import Device
from opzo.host.driver.input_order import channel_last_shape
from opzo.host.driver.link import Link
from opzo.host.driver.sample import Sample
from opzo.host.driver.sample_store import StoreImage, store_image, upload
from opzo.host.driver.state import State
from opzo.host.driver.stored_block import BlockResult, ImageShape, StoredBlock
from opzo.host.driver.transport import Connection, Transport
from opzo.host.training.config import Hyperparameters
from opzo.host.training.schedule_registers import schedule_registers
from opzo.sim.fast.core import FastCore
from opzo.sim.model_transport import ModelTransport
from opzo.sim.rtl.transport import RtlTransport
from opzo.spec.events import encode_frames
from opzo.spec.limits import Limits
from opzo.spec.network import Network
from opzo.spec.registers import Counter
from opzo.spec.rules import Rule

STORE = 1 << 20
SIDE = 28
"""Of a synthetic image."""


def images(count: int, pixels: int, classes: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Images whose lit pixels depend on the class: uint8 (count, SIDE, SIDE), and labels."""
    likely = rng.random((classes, SIDE * SIDE))
    labels = rng.integers(0, classes, count)
    flat = np.zeros((count, SIDE * SIDE), np.uint8)
    for image, label in zip(flat, labels, strict=True):
        lit = np.argsort(likely[label] + rng.random(SIDE * SIDE))[-pixels:]
        image[lit] = rng.integers(1, 256, len(lit))
    return flat.reshape(count, SIDE, SIDE), labels


def prepared(transport: Transport, network: Network, limits: Limits, image: StoreImage, seed: int) -> Device:
    """Device with a new network and a full store."""
    device = Device("store", Link(Connection.over(transport, "store", patience=600.0)))
    device.configure(network, Rule.OPZO)
    State.initial(network, Rule.OPZO, seed, limits).write(device)
    device.write_registers(schedule_registers(Hyperparameters(rule="opzo", seed=seed, batch=1), 0, 60_000))
    upload(device, image)
    device.clear_counters()
    return device


def measure(
    chip: RtlTransport, model: ModelTransport, network: Network, image: StoreImage, args: Any
) -> dict[str, Any]:
    """Train on the blocks; figures."""
    shape = ImageShape(SIDE, network.inputs // SIDE, network.inputs // SIDE**2)
    (samples,) = image.sets
    blocks = [
        StoredBlock(
            samples.table, samples.samples, first, args.block, args.seed, train=True, shift=args.shift, shape=shape
        )
        for first in range(0, samples.samples - args.block + 1, args.block)
    ]
    devices = [prepared(each, network, chip.limits, image, args.seed) for each in (chip, model)]
    begin = chip.cycles
    results: list[list[BlockResult]] = [list(device.run_stored(blocks)) for device in devices]
    cycles = chip.cycles - begin
    for found, expected in zip(*results, strict=True):
        if (found.correct, found.loss) != (expected.correct, expected.loss):
            raise SystemExit("the chip's sums differ from the compiled model's")
    busy = int(results[0][-1].counters[Counter.TRAIN_CYCLES])
    count = args.block * len(blocks)
    return {
        "net": args.net,
        "lanes": chip.limits.lanes,
        "blocks": len(blocks),
        "samples": count,
        "cycles_a_sample": round(cycles / count, 1),
        "engine_cycles_a_sample": round(busy / count, 1),
        "busy": round(busy / cycles, 4),
        "bytes_a_sample": round(len(image.data) / samples.samples, 1),
        "seed": args.seed,
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="784-128-128-10", help="network (784-128-128-10)")
    parser.add_argument("--lanes", type=int, default=64, help="lanes of the chip (64)")
    parser.add_argument("--data", help="data set of 28x28 images instead of synthetic ones, such as mnist")
    parser.add_argument("--data-root", default="", help="folder of the data set's files")
    parser.add_argument("--pixels", type=int, default=150, help="pixels that are not 0 in a synthetic image (150)")
    parser.add_argument("--block", type=int, default=64, help="samples of a block (64)")
    parser.add_argument("--blocks", type=int, default=3, help="blocks (3)")
    parser.add_argument("--shift", type=int, default=2, help="most pixels of a shift (2)")
    parser.add_argument("--seed", type=int, default=1, help="of images, weights, order and shifts (1)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    args = parser.parse_args(argv)
    count = args.block * args.blocks
    network = Network(args.net)
    if args.data:
        data = load_data(args.data, args.data_root)
        samples = list(islice(data.train.samples(channel_last=channel_last_shape(network)), count))
    else:
        pictures, labels = images(count, args.pixels, network.classes, np.random.default_rng(args.seed))
        payloads = encode_frames(pictures.reshape(count, -1))
        samples = [Sample((payload,), int(label)) for payload, label in zip(payloads, labels, strict=True)]
    image = store_image([("train", samples, count)], STORE)
    if image is None:
        parser.error(f"the samples need more than {STORE} bytes")
    limits = replace(network.limits(args.lanes), store=STORE)
    chip = RtlTransport(limits)
    result = measure(chip, ModelTransport(FastCore(limits)), network, image, args)
    chip.close()
    if args.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name.replace('_', ' '):<24} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
