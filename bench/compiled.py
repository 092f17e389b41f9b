"""Training speed of the compiled model on one core: python bench/compiled.py --data-root DIR --json

Trains on images with the compiled model, with and without the augmentation of the data set's recipe, and with PyTorch
(bench/speed_torch.py), in turns. With --before DIR, the src folder of another version, that version is measured in the
same turns. Figures are training samples per second of CPU time, so other work on the machine counts little; ratios are
medians over the turns.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import zlib
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from opzo.host.data.data_sets import Frames, load_data
from opzo.host.driver.device import open_device
from opzo.host.training.configure import configure
from opzo.host.training.trainer import Trainer
from opzo.spec.errors import OpzoError

WARM_UP = 500
"""Samples before the clock starts."""
KINDS = ("augmented", "plain")
AUGMENTATION = ("rotate", "zoom", "shift", "flip")


def main() -> int:
    """Measure and print; exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="mnist", help="data set or file of images (default: %(default)s)")
    parser.add_argument("--data-root", default="", help="folder of the data set's files, if it has any")
    parser.add_argument("--net", default="784-256-256-10", help="neurons of each layer (default: %(default)s)")
    parser.add_argument("--lanes", type=int, default=64, help="lanes of the compiled model (default: %(default)s)")
    parser.add_argument("--local", type=int, default=0, help="hidden layers with local learning (default: %(default)s)")
    parser.add_argument("--kappa", type=float, default=10.0, help="activity cost (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=10000, help="samples per figure (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=5, help="turns (default: %(default)s)")
    parser.add_argument("--before", default="", metavar="DIR", help="src folder of another version to compare with")
    parser.add_argument("--torch-seconds", type=float, default=1.0, help="seconds per PyTorch figure, 0: none")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    try:
        figures = compiled(args) if args.one else in_turns(args)
    except OpzoError as error:
        print(f"opzo: error: {error}", file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name}: {value}")
    return 0


def compiled(args: argparse.Namespace) -> dict[str, Any]:
    """Samples per second of the version that runs, by kind, and a checksum of what it learned."""
    settings = {"data": args.data, "data_root": args.data_root, "net": args.net, "lanes": args.lanes, "epochs": 1}
    data, config = configure(settings | {"device": "fast", "local": args.local, "kappa": args.kappa})
    train = data.train
    if not isinstance(train, Frames):
        raise OpzoError(f"{args.data} has events; use bench/events.py for those")
    figures: dict[str, Any] = {}
    for kind in KINDS:
        # A version before may have fewer settings.
        changed = [name for name in AUGMENTATION if kind == "plain" and hasattr(config, name)]
        plain = {name: type(getattr(config, name))(0) for name in changed}
        with open_device("fast", config.network, args.lanes) as device:
            trainer = Trainer(device, config.network, replace(config, **plain))
            trainer.fit(replace(train, x=train.x[:WARM_UP], y=train.y[:WARM_UP]), None)
            trainer.restart(trainer.hyper)
            begin = time.process_time()
            trainer.fit(replace(train, x=train.x[: args.samples], y=train.y[: args.samples]), None)
            figures[kind] = round(min(len(train), args.samples) / (time.process_time() - begin))
            weights = [device.read_weights(layer).tobytes() for layer in range(len(config.network.layers))]
            figures[f"{kind}_weights"] = zlib.crc32(b"".join(weights))
    return figures


def in_turns(args: argparse.Namespace) -> dict[str, Any]:
    """Figures of all versions and of PyTorch, and their ratios."""
    versions = {"now": str(Path(__file__).parents[1] / "src")} | ({"before": args.before} if args.before else {})
    rows: list[dict[str, Any]] = []
    for _ in range(args.turns):
        row: dict[str, Any] = {version: in_process(folder) for version, folder in versions.items()}
        if args.torch_seconds:
            row["pytorch"] = pytorch(args)
        rows.append(row)
    figures: dict[str, Any] = {"net": args.net, "lanes": args.lanes, "local": args.local, "turns": rows}
    for kind in KINDS:
        for version in versions:
            figures[f"{version}_{kind}"] = round(median(row[version][kind] for row in rows))
        if args.before:
            figures[f"ratio_{kind}"] = round(median(row["now"][kind] / row["before"][kind] for row in rows), 3)
            figures[f"same_weights_{kind}"] = all(
                row["now"][f"{kind}_weights"] == row["before"][f"{kind}_weights"] for row in rows
            )
    if args.torch_seconds:
        figures["pytorch"] = {name: round(median(row["pytorch"][name] for row in rows)) for name in rows[0]["pytorch"]}
    return figures


def in_process(folder: str) -> dict[str, Any]:
    """Figures of the version whose src folder this is, measured by this script in a process of its own."""
    # Another version may be installed.
    if not (Path(folder) / "opzo" / "__init__.py").exists():
        raise OpzoError(f"there is no opzo in {folder}; give the src folder of a checkout")
    command = [sys.executable, __file__, *sys.argv[1:], "--one", "--json"]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": folder}, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise OpzoError(f"the version in {folder} could not be measured; see its message above")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def pytorch(args: argparse.Namespace) -> dict[str, int]:
    """Training samples per second of PyTorch by method and batch size, without augmentation."""
    from speed_torch import torch_figures

    from opzo.spec.network import Network

    rows = torch_figures(Network(args.net), load_data(args.data, args.data_root), args.torch_seconds)
    return {f"{row['method']}, batch {row['batch']}": row["train_samples_per_second"] for row in rows}


if __name__ == "__main__":
    sys.exit(main())
