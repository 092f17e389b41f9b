"""Accuracy of the learning rules on MNIST: python bench/learning.py --data-root DIR --out DIR --json

Trains each variant of each network with each seed on the compiled model, with several runs in parallel. Prints the
table of docs/learning.md with test accuracy (median of the seeds), firing rates, synaptic operations and cycles, and
writes it as Markdown and as a picture to the folder. Runs already in the folder are not repeated, so an interrupted
bench can be resumed. For comparison, back-propagation with a surrogate gradient (PyTorch, floating point).
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import lru_cache
from math import cos, pi
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opzo.host.cli.commands.sweep import train_runs
from opzo.host.data.augment import Augmentation
from opzo.host.data.data_sets import Data, Frames, load_data
from opzo.host.driver.initial_weights import ORDER, generator
from opzo.host.training.config import Config
from opzo.host.training.configure import configure
from opzo.host.training.sweep import PlannedRun, groups, table
from opzo.spec.errors import OpzoError
from opzo.system.atomic import write_atomically

EPOCHS = {"784-256-256-10": 20, "784-800-800-10": 12, "784-100-100-100-10": 12}
"""Number of epochs by network."""
PLAIN = {"local": 0, "kappa": 10.0}
"""No local learning, with the activity cost for that."""
VARIANTS: dict[str, dict[str, Any]] = {
    "opzo": PLAIN,
    "opzo, 12-bit weights": PLAIN | {"weight_bits": 12},
    "opzo + LL": {},
    "opzo + LL, 12-bit weights": {"weight_bits": 12},
    "dfa": PLAIN | {"rule": "dfa"},
    "dfa + LL": {"rule": "dfa"},
    "zo": PLAIN | {"rule": "zo"},
    "zo, gentle": PLAIN | {"rule": "zo", "rate": 14, "kappa": 0.0},
    "readout": PLAIN | {"rule": "readout"},
}
"""Settings that replace those of the recipe."""
BP = "bp (PyTorch)"
BP_RATE = 0.002
"""Initial step size per time step, chosen on 5,000 held-out training images."""


def main() -> int:
    """Train, tabulate and draw; exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True, help="folder of the MNIST files")
    parser.add_argument("--out", type=Path, default=Path("runs/learning"), help="folder (default: %(default)s)")
    parser.add_argument("--networks", nargs="+", default=list(EPOCHS), choices=list(EPOCHS), metavar="NET")
    parser.add_argument("--variants", nargs="+", default=[*VARIANTS, BP], choices=[*VARIANTS, BP], metavar="VARIANT")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="SEED")
    parser.add_argument("--epochs", type=int, help="epochs (default: by network)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="parallel runs (default: %(default)s)")
    parser.add_argument("--tabulate", action="store_true", help="only tabulate existing runs, without training")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    try:
        return bench(args)
    except OpzoError as error:
        print(f"opzo: error: {error}", file=sys.stderr)
        return 2


def bench(args: argparse.Namespace) -> int:
    """Run the bench; exit code."""
    rows, failed = [], []
    for net in args.networks:
        epochs = args.epochs or EPOCHS[net]
        chip = [variant for variant in args.variants if variant != BP]
        runs = plan(net, epochs, chip, args.seeds, args.data_root, args.out)
        if not args.tabulate:
            failed += train_runs(runs, args.jobs, quiet=args.json)[0]
        rows += table((run, figures) for run in runs if (figures := run.figures()) is not None)
        if BP in args.variants:
            rows += back_propagation(net, epochs, args.seeds, args.data_root, args.out, train=not args.tabulate)
    merged = groups(rows, ["network", "variant", "epochs"])
    write_atomically(args.out / "learning.md", markdown(merged).encode())
    write_atomically(args.out / "learning.png", picture(merged))
    if args.json:
        print(json.dumps({"groups": merged, "runs": rows}))
    else:
        print(markdown(merged))
    return 1 if failed else 0


def plan(
    net: str, epochs: int, variants: Iterable[str], seeds: Iterable[int], data_root: str, out: Path
) -> list[PlannedRun]:
    """Runs of the chip's rules with one network."""
    runs = []
    load = lru_cache(maxsize=1)(load_data)
    for variant in variants:
        for seed in seeds:
            settings: dict[str, Any] = {"net": net, "epochs": epochs, "seed": seed, "device": "fast", "lanes": 64}
            settings |= {"data": "mnist", "data_root": data_root} | VARIANTS[variant]
            data, config = configure(settings, load)
            swept = {"network": net, "variant": variant, "epochs": epochs, "seed": seed}
            name = f"{net},{variant.replace(' ', '')},{epochs},{seed}"
            runs.append(PlannedRun(swept, config, out / name, data.digests))
    return runs


def back_propagation(
    net: str, epochs: int, seeds: Sequence[int], data_root: str, out: Path, *, train: bool
) -> list[dict[str, Any]]:
    """Rows of floating-point back-propagation, one per seed.

    Results in ``out`` are used if they come from the same data; otherwise, with ``train``, they are trained. OpzoError
    if they come from other data, as results from earlier versions without a check sum may.
    """
    path = out / f"{net},bp,{epochs},{'-'.join(map(str, seeds))}.json"
    if not path.exists() and not train:
        return []
    data, config = configure({"data": "mnist", "data_root": data_root, "net": net, "epochs": epochs})
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        results = train_bp(data, config, seeds, [BP_RATE] * len(seeds))
        write_atomically(path, json.dumps(results | {"data_digests": data.digests}).encode())
    results = json.loads(path.read_text())
    if results.get("data_digests") != list(data.digests):
        raise OpzoError(
            f"{path} is not known to be from the data in {data_root}; give another --out, or remove the file"
        )
    names = {"network": net, "variant": BP, "epochs": epochs}
    return [
        names
        | {"seed": seed, "test_accuracy": accuracy, "train_accuracy": train}
        | {f"firing_rate_{layer}": rate for layer, rate in enumerate(rates, 1)}
        for seed, accuracy, train, rates in zip(
            seeds, results["test_accuracy"], results["train_accuracy"], results["firing_rates"], strict=True
        )
    ]


def train_bp(data: Data, config: Config, seeds: Sequence[int], rates: Sequence[float]) -> dict[str, Any]:
    """Back-propagation through time at batch size 1, with all seeds in parallel; figures by seed.

    Order and augmentation of the images are those of a run of the chip with the same seed; the step size has a cosine
    schedule.
    """
    import torch
    from baselines.bptt import Replicas

    torch.set_num_threads(1)
    train = data.train
    assert isinstance(train, Frames)
    replicas = Replicas(config.network, seeds)
    count = len(train)
    augmentation = Augmentation(config.rotate, config.zoom, config.shift)
    start, total = torch.tensor(rates), config.epochs * count
    assert isinstance(data.test, Frames)
    test_x = torch.from_numpy(data.test.x.astype(np.float32) / 256)
    test_y = torch.from_numpy(data.test.y.astype(np.int64))
    for epoch in range(config.epochs):
        orders = [generator(seed, ORDER, epoch).permutation(count) for seed in seeds]
        draws = [augmentation.draw(seed, epoch, count) for seed in seeds]
        correct = torch.zeros(len(seeds))
        for n in range(count):
            images = [augmented(train, augmentation, o[n], d[n]) for o, d in zip(orders, draws, strict=True)]
            x = torch.from_numpy(np.stack(images).astype(np.float32) / 256)
            y = torch.tensor([int(train.y[order[n]]) for order in orders])
            progress = (epoch * count + n) / total
            correct += replicas.train(x, y, start * (1 + cos(pi * progress)) / 2) == y
        tests = [replicas.test(replica, test_x, test_y) for replica in range(len(seeds))]
        shown = " ".join(f"{accuracy:.2%}" for accuracy, _ in tests)
        print(f"{config.net} bp epoch {epoch + 1}/{config.epochs}: {shown}", file=sys.stderr, flush=True)
    return {
        "config": asdict(config),
        "rates": list(rates),
        "test_accuracy": [accuracy for accuracy, _ in tests],
        "firing_rates": [firing for _, firing in tests],
        "train_accuracy": (correct / count).tolist(),
    }


def augmented(frames: Frames, augmentation: Augmentation, index: int, draw: NDArray[np.float64]) -> NDArray[np.uint8]:
    """One image of the frames, flat, transformed by a draw."""
    (image,) = frames.planes(frames.x[index : index + 1])
    flat: NDArray[np.uint8] = frames.flat(augmentation.move(image, draw)[None])[0]
    return flat


COLUMNS = (
    ("accuracy, %", "test_accuracy", "{:.2%}"),
    ("lowest, %", "test_accuracy_min", "{:.2%}"),
    ("highest, %", "test_accuracy_max", "{:.2%}"),
    ("SOP, forward", "synaptic_operations_per_test_sample", "{:,.0f}"),
    ("SOP, training", "synaptic_operations_per_train_sample", "{:,.0f}"),
    ("weight updates", "weight_updates_per_train_sample", "{:,.0f}"),
    ("cycles, training", "cycles_per_train_sample", "{:,.0f}"),
)


def markdown(merged: list[dict[str, Any]]) -> str:
    """Markdown table with a row for each variant and network."""
    head = ["network", "epochs", "rule", "seeds", *(name for name, _, _ in COLUMNS[:3]), "firing rates"]
    head += [name for name, _, _ in COLUMNS[3:]]
    lines = [head, ["---"] * len(head)]
    for row in merged:
        cells = [text.format(row[key]).rstrip("%") if row.get(key) is not None else "" for _, key, text in COLUMNS]
        rates = " / ".join(f"{row[key]:.3f}" for key in row if key.startswith("firing_rate_"))
        first = [row["network"], str(row["epochs"]), row["variant"], str(row["runs"])]
        lines.append([*first, *cells[:3], rates, *cells[3:]])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def picture(merged: list[dict[str, Any]]) -> bytes:
    """Plot of accuracy against synaptic operations of a forward pass for each network; bars span the seeds."""
    from io import BytesIO

    from matplotlib.figure import Figure

    networks = list(dict.fromkeys(row["network"] for row in merged))
    figure = Figure(figsize=(5 * len(networks), 4.5), layout="constrained")
    for part, net in zip(figure.subplots(1, len(networks), squeeze=False)[0], networks, strict=True):
        for row in (row for row in merged if row["network"] == net):
            accuracy = 100 * row["test_accuracy"]
            span = [[accuracy - 100 * row["test_accuracy_min"]], [100 * row["test_accuracy_max"] - accuracy]]
            operations = row.get("synaptic_operations_per_test_sample")
            if operations is None:
                part.axhline(accuracy, color="gray", linestyle="--", label=row["variant"])
            elif accuracy > 95:
                part.errorbar(operations, accuracy, span, marker="o", capsize=3, label=row["variant"])
        part.set_title(net)
        part.set_xlabel("synaptic operations, forward pass")
        part.set_ylabel("test accuracy, % (those above 95 %)")
        part.grid(alpha=0.3)
        part.legend(fontsize="small")
    file = BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return file.getvalue()


if __name__ == "__main__":
    sys.exit(main())
