"""Cycles per sample and samples per second, with comparisons: python bench/speed.py --data-root DIR --out DIR --json

Trains a network on the compiled model, without and with local learning (stored in the folder), then runs samples on the
simulated chip for each number of lanes. Reports cycles per training and inference sample from the chip's counters, the
cost model, and the fraction of cycles that move a row-word or feedback entry. Samples per second are given at the
clocks reached by place and route (--build, output of `opzo build --json`) and at a nominal clock. For comparison:
PyTorch with the same network on one CPU core, measured in the same run, and figures of other learning chips, published
or derived. Writes Markdown and a picture to the folder.
"""

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from cycles import both, measure
from speed_figure import picture
from speed_others import others
from speed_table import markdown

from opzo.host.cli.commands.sweep import train_runs
from opzo.host.data.data_sets import Data, Frames, load_data
from opzo.host.driver.device import Device
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.config import Config
from opzo.host.training.configure import configure
from opzo.host.training.run_folder import CHECKPOINT
from opzo.host.training.schedule_registers import BLOCK, schedule_registers
from opzo.host.training.sweep import PlannedRun
from opzo.host.training.trainer import Trainer
from opzo.spec.errors import OpzoError
from opzo.spec.lfsr import lane_states
from opzo.spec.protocol import BITS_A_BYTE
from opzo.spec.registers import Counter
from opzo.system.atomic import write_atomically

PLAIN = {"local": 0, "kappa": 10.0}
"""No local learning, and the activity cost that goes with that."""
PARTS = (Counter.INTEGRATE, Counter.FEEDBACK, Counter.LEARN, Counter.FIRE)
"""Counters whose events take a cycle of the chip each."""
TRAINED_LANES = 64
BAUDS = (1_000_000, 3_000_000, 12_000_000)


def main() -> int:
    """Measure, tabulate and draw; exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="mnist", help="data set or file of images (default: %(default)s)")
    parser.add_argument("--data-root", default="", help="folder of the data set's files, if it has any")
    parser.add_argument("--net", default="784-256-256-10", help="neurons of each layer (default: %(default)s)")
    parser.add_argument(
        "--lanes", type=int, nargs="+", default=[16, 32, 64, 128], metavar="P", help="lanes (default: 16 32 64 128)"
    )
    parser.add_argument(
        "--local",
        type=int,
        nargs="+",
        default=[0, -1],
        metavar="N",
        help="hidden layers with local learning, -1 is all (default: 0 -1)",
    )
    parser.add_argument(
        "--epochs", type=int, default=3, help="epochs of training on the compiled model (default: %(default)s)"
    )
    parser.add_argument("--checkpoint", type=Path, help="network to measure instead of training one")
    parser.add_argument("--samples", type=int, default=200, help="samples of each kind (default: %(default)s)")
    parser.add_argument("--clock", type=float, default=100.0, help="nominal clock in MHz (default: %(default)s)")
    parser.add_argument(
        "--build", type=Path, nargs="+", default=[], metavar="FILE", help="reports of opzo build --json"
    )
    parser.add_argument(
        "--torch-seconds", type=float, default=5.0, help="seconds per PyTorch figure, 0: none (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/speed"), help="folder (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    try:
        figures = run(args)
    except OpzoError as error:
        print(f"opzo: error: {error}", file=sys.stderr)
        return 2
    write_atomically(args.out / "speed.md", markdown(figures).encode())
    write_atomically(args.out / "speed.png", picture(figures))
    print(json.dumps(figures) if args.json else markdown(figures))
    return 0


def run(args: argparse.Namespace) -> dict[str, Any]:
    """All figures; for a single number of lanes and network, those of the chip also at the top level."""
    args.out.mkdir(parents=True, exist_ok=True)
    builds = [read_build(path) for path in args.build]
    data, networks = trained(args)
    chips = [
        {**chip(data, config, checkpoint, lanes, args.samples), "clocks": clocks(lanes, args.clock, builds)}
        for lanes in args.lanes
        for config, checkpoint in networks
    ]
    for row in chips:
        for clock in row["clocks"]:
            clock["train_samples_per_second"] = round(clock["clock_mhz"] * 1e6 / row["cycles_per_train_sample"])
            clock["test_samples_per_second"] = round(clock["clock_mhz"] * 1e6 / row["cycles_per_test_sample"])
    top = chips[0] if len(chips) == 1 else {}
    torch: list[dict[str, Any]] = []
    if args.torch_seconds:
        from speed_torch import torch_figures

        torch = torch_figures(networks[0][0].network, data, args.torch_seconds)
    return {
        **top,
        "network": args.net,
        "data": args.data,
        "samples": args.samples,
        "nominal_clock_mhz": args.clock,
        "chips": chips,
        "pytorch": torch,
        "others": others(networks[0][0].network, chips),
    }


def trained(args: argparse.Namespace) -> tuple[Data, list[tuple[Config, Checkpoint]]]:
    """Data, and the networks to measure: that of the checkpoint, or those in the folder, trained if missing."""
    if not isinstance(load_data(args.data, args.data_root).train, Frames):
        raise OpzoError(f"{args.data} has events; use bench/cycles.py for those")
    settings = {"data": args.data, "data_root": args.data_root, "net": args.net, "epochs": args.epochs}
    settings |= {"device": "fast", "lanes": TRAINED_LANES}
    if args.checkpoint:
        checkpoint = Checkpoint.load(args.checkpoint)
        settings |= {"net": str(checkpoint.network), "steps": checkpoint.network.steps}
        data, config = configure(settings | {"local": checkpoint.network.local, "rule": checkpoint.rule.name.lower()})
        networks = [(config, checkpoint)]
    else:
        runs = []
        for local in args.local:
            data, config = configure(settings | (PLAIN if local == 0 else {"local": local}))
            runs.append(PlannedRun({}, config, args.out / f"{args.net},local{local},{args.epochs}", data.digests))
        if train_runs(runs, os.cpu_count() or 1, quiet=True)[0]:
            raise OpzoError(f"a training run failed; see {args.out}")
        networks = [(run.config, Checkpoint.load(run.folder / CHECKPOINT)) for run in runs]
    for config, _ in networks:
        data.check(config.network)
    return data, networks


def chip(data: Data, config: Config, checkpoint: Checkpoint, lanes: int, samples: int) -> dict[str, Any]:
    """Figures of the simulated chip with ``lanes`` lanes, trained from the middle of the schedule of ``config``."""
    # Only the noise generators depend on the number of lanes.
    state = replace(checkpoint.state, lfsr=lane_states(config.seed, lanes))
    total = config.epochs * len(data.train)
    with both(config.network, lanes) as devices:
        for device in devices.values():
            Trainer(device, config.network, config, replace(checkpoint, state=state))
            device.write_registers(schedule_registers(config, total // 2 // BLOCK * BLOCK, total))
        train, train_bytes = sent(devices, data, samples, train=True)
        test, test_bytes = sent(devices, data, samples, train=False)
    return {
        "lanes": lanes,
        "local": config.network.local,
        "cycles_per_train_sample": train["counted"],
        "cycles_per_test_sample": test["counted"],
        "useful_share": round(train["model"] / train["counted"], 4),
        "useful_share_test": round(test["model"] / test["counted"], 4),
        "model": train["model"],
        "model_test": test["model"],
        "ratio": train["ratio"],
        "ratio_test": test["ratio"],
        "train": parts(train),
        "test": parts(test),
        "bytes_per_train_sample": train_bytes,
        "bytes_per_test_sample": test_bytes,
        "link_train_samples_per_second": {str(baud): round(baud / BITS_A_BYTE / train_bytes) for baud in BAUDS},
        "weight_bits": checkpoint.state.weight_bits,
    }


def parts(measured: dict[str, Any]) -> dict[str, float]:
    """Breakdown of the cycles: parts of the cost model, words fired from a stored current, and the rest."""
    named = {counter.name.lower(): measured[counter.name.lower()] for counter in PARTS}
    return named | {"other": round(measured["counted"] - sum(named.values()), 1)}


def sent(devices: dict[str, Device], data: Data, samples: int, *, train: bool) -> tuple[dict[str, Any], float]:
    """Cycles of samples, and bytes per sample on the link."""
    device = devices["counted"]
    before = device.bytes_sent
    figures = measure(devices, data.train if train else data.test, samples, train=train)
    return figures, round((device.bytes_sent - before) / figures["samples"], 1)


def read_build(path: Path) -> dict[str, Any]:
    """Board, lanes and clock of a build report; OpzoError if it is not one."""
    try:
        report = json.loads(path.read_text())
        return {"board": str(report["board"]), "lanes": int(report["lanes"]), "clock_mhz": float(report["clock_mhz"])}
    except OSError as error:
        raise OpzoError(f"cannot read {path}: {error.strerror}; give the output of opzo build --json") from None
    except (ValueError, KeyError, TypeError) as error:
        raise OpzoError(f"{path} is not a build report ({error!r}); give the output of opzo build --json") from None


def clocks(lanes: int, nominal: float, builds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Clocks of a chip with ``lanes`` lanes: those of the builds, then the nominal one."""
    reached = [{"clock": f"{build['board']}, routed", **build} for build in builds if build["lanes"] == lanes]
    return [*reached, {"clock": "nominal", "clock_mhz": nominal}]


if __name__ == "__main__":
    sys.exit(main())
