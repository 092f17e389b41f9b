"""Accuracy of the learning rules on events: python bench/events.py --data-root DIR --out DIR --json

Trains each rule with each seed on synthetic recordings of images by the simulated camera (MNIST needs --data-root), on
the compiled model, with several runs in parallel. Prints a table with test accuracy (median of the seeds), firing rates
and synaptic operations, and writes it as Markdown to the folder. Runs already in the folder are not repeated, so an
interrupted bench can be resumed. For comparison, back-propagation with a surrogate gradient (PyTorch, floating point,
minibatches of 128), online and through time, with equal data, network, initial weights, order and epochs.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from learning import markdown

from opzo.host.cli.commands.sweep import train_runs
from opzo.host.data.data_sets import Data, load_data
from opzo.host.data.events.event_samples import Events
from opzo.host.driver.initial_weights import ORDER, generator, initial_weights
from opzo.host.training.configure import configure
from opzo.host.training.sweep import PlannedRun, groups, table
from opzo.spec.formats import WEIGHT
from opzo.spec.network import Network
from opzo.system.atomic import write_atomically

RUNS = {"saccade-digits": ("2312-128-128-10", 30), "saccade-mnist": ("2312-800-800-10", 6)}
"""Network and epochs by data."""
VARIANTS: dict[str, dict[str, Any]] = {
    "opzo": {"local": 0},
    "opzo + LL": {"local": -1},
    "dfa": {"local": 0, "rule": "dfa"},
}
"""Settings over the recipe."""
BP = {"bp, online (PyTorch)": "ottt", "bp, through time (PyTorch)": "bptt"}
"""Methods of `baselines.ottt` by name in the table."""
BP_RATE = 0.002
"""Initial step size, chosen on 5,000 held-out training recordings."""
LANES = 64
"""Lanes of the compiled model; synaptic operations of back-propagation are counted in words of as many neurons."""


def main() -> int:
    """Train and tabulate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", default="", help="folder of the MNIST files")
    parser.add_argument("--out", type=Path, default=Path("runs/events"), help="folder (default: %(default)s)")
    parser.add_argument("--data", nargs="+", default=list(RUNS), choices=list(RUNS), metavar="DATA")
    parser.add_argument("--net", help="neurons of each layer (default: by data set)")
    parser.add_argument("--variants", nargs="+", default=[*VARIANTS, *BP], choices=[*VARIANTS, *BP], metavar="VARIANT")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="SEED")
    parser.add_argument("--epochs", type=int, help="epochs (default: by data set)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="parallel runs (default: %(default)s)")
    parser.add_argument("--tabulate", action="store_true", help="only tabulate existing runs, without training")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()

    rows, failed = [], []
    for data in args.data:
        net, epochs = args.net or RUNS[data][0], args.epochs or RUNS[data][1]
        settings: dict[str, Any] = {"data": data, "data_root": args.data_root, "net": net, "epochs": epochs}
        runs = plan(settings, [variant for variant in args.variants if variant in VARIANTS], args.seeds, args.out)
        if not args.tabulate:
            failed += train_runs(runs, args.jobs, quiet=args.json)[0]
        rows += table((run, figures) for run in runs if (figures := run.figures()) is not None)
        variants = [variant for variant in args.variants if variant in BP]
        rows += back_propagation(settings, variants, args.seeds, args.out, 0 if args.tabulate else args.jobs)
    merged = groups(rows, ["network", "variant", "epochs"])
    write_atomically(args.out / "events.md", markdown(merged).encode())
    print(json.dumps({"groups": merged, "runs": rows}) if args.json else markdown(merged))
    return 1 if failed else 0


def names(settings: dict[str, Any], variant: str, seed: int) -> dict[str, Any]:
    """Settings that identify a run."""
    network = f"{settings['data']}, {settings['net']}"
    return {"network": network, "variant": variant, "epochs": settings["epochs"], "seed": seed}


def file_name(swept: dict[str, Any]) -> str:
    """Name of a run's folder or file."""
    return ",".join(map(str, swept.values())).replace(" ", "")


def plan(settings: dict[str, Any], variants: Iterable[str], seeds: Iterable[int], out: Path) -> list[PlannedRun]:
    """Runs of the chip's rules."""
    runs = []
    load = lru_cache(maxsize=1)(load_data)
    for variant in variants:
        for seed in seeds:
            values = settings | {"seed": seed, "device": "fast", "lanes": LANES} | VARIANTS[variant]
            swept = names(settings, variant, seed)
            data, config = configure(values, load)
            runs.append(PlannedRun(swept, config, out / file_name(swept), data.digests))
    return runs


def back_propagation(
    settings: dict[str, Any], variants: Iterable[str], seeds: Sequence[int], out: Path, jobs: int
) -> list[dict[str, Any]]:
    """Rows of floating-point back-propagation; missing runs are trained, ``jobs`` in parallel, unless that is 0."""
    planned = []
    for variant in variants:
        for seed in seeds:
            swept = names(settings, variant, seed)
            planned.append((swept, BP[variant], out / f"{file_name(swept | {'variant': BP[variant]})}.jsonl"))
    missing = [(swept, method, path) for swept, method, path in planned if len(epochs_of(path)) < settings["epochs"]]
    if missing and jobs:
        out.mkdir(parents=True, exist_ok=True)
        # Load once before the processes start, because the recordings may have to be made.
        configure(settings)
        Parallel(n_jobs=jobs)(
            delayed(train_bp)(settings | {"seed": swept["seed"]}, method, path) for swept, method, path in missing
        )
    return [
        swept
        | {key: epochs[-1][key] for key in ("test_accuracy", "train_accuracy", "synaptic_operations_per_test_sample")}
        | {f"firing_rate_{layer}": rate for layer, rate in enumerate(epochs[-1]["firing_rates"], 1)}
        for swept, _, path in planned
        if len(epochs := epochs_of(path)) >= settings["epochs"]
    ]


def epochs_of(path: Path) -> list[dict[str, Any]]:
    """Figures of a run's completed epochs; empty if it was not started."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def train_bp(settings: dict[str, Any], method: str, path: Path) -> None:
    """Train by back-propagation on one thread; write the figures of each epoch as a line of ``path``."""
    import torch
    from baselines.ottt import BaselineSettings, EventTrainer

    torch.set_num_threads(1)
    data, config = configure(settings)
    train, test = recordings(data)
    recipe = BaselineSettings(method, epochs=config.epochs, rate=BP_RATE)
    weights = [(matrix / WEIGHT.one).astype(np.float32) for matrix in initial_weights(config.network, config.seed)]
    trainer = EventTrainer(config.network, weights, recipe, config.seed)
    lines = []
    for epoch in range(config.epochs):
        begin = time.monotonic()
        accuracy = trainer.train_epoch(train, generator(config.seed, ORDER, epoch).permutation(len(train)), epoch)
        speed = len(train) / (time.monotonic() - begin)
        tested = trainer.test(test)
        operations = synaptic_operations(config.network, test, tested.firing_rates)
        row: dict[str, Any] = {"epoch": epoch + 1, "train_accuracy": accuracy, "test_accuracy": tested.accuracy}
        row |= {"test_loss": tested.loss, "firing_rates": tested.firing_rates, "train_samples_per_second": speed}
        row |= {"synaptic_operations_per_test_sample": operations, "seed": config.seed, "recipe": asdict(recipe)}
        lines.append(json.dumps(row) + "\n")
        write_atomically(path, "".join(lines).encode())
        print(f"{path.stem} epoch {epoch + 1}: {tested.accuracy:.2%}, {speed:.0f}/s", file=sys.stderr, flush=True)


def recordings(data: Data) -> tuple[Events, Events]:
    """Training and test samples of data that are events."""
    train, test = data.train, data.test
    assert isinstance(train, Events)
    assert isinstance(test, Events)
    return train, test


def synaptic_operations(network: Network, events: Events, rates: Sequence[float]) -> float:
    """Operations of a forward pass, counted as on the chip: LANES per word of an active row, bias rows included."""
    neurons = zip(rates, network.hidden, strict=True)
    active = [len(events.addresses) / len(events), *(rate * n * network.steps for rate, n in neurons)]
    layers = network.layout(network.limits(LANES))
    return sum((rows + network.steps) * layer.words * LANES for rows, layer in zip(active, layers, strict=True))


if __name__ == "__main__":
    sys.exit(main())
