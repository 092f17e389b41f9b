"""``opzo reference cost``: show the cost of each method, calculated and measured."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace

from opzo.host.cli.option_types import integer
from opzo.host.cli.options import add_output
from opzo.host.cli.output import print_json
from opzo.spec.messages import no_such

SHAPES = {
    "mnist": ((1, 28, 28), 10),
    "digits": ((1, 8, 8), 10),
    "nmnist": ((2, 34, 34), 10),
    "saccade-digits": ((2, 34, 34), 10),
    "cifar10": ((3, 32, 32), 10),
    "cifar100": ((3, 32, 32), 100),
    "patches": ((3, 32, 32), 10),
    "cifar10-dvs": ((2, 48, 48), 10),
    "dvs-gesture": ((2, 48, 48), 11),
    "imagenet": ((3, 224, 224), 1000),
}
"""Input shape and classes of the presets' data; the cost does not depend on their content."""
BATCH_MAX, THREADS_MAX = 65536, 1024
METHODS = ("bp", "dfa", "dkp", "zo", "opzo", "dfa-ll", "opzo-ll")
HEAD = """\
| method | memory for feedback | operations per step | to learn it | batch (ms) | ratio to bp | memory (MB) |
| --- | --- | --- | --- | --- | --- | --- |"""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--preset", default="mnist-fc", metavar="NAME", help="data and network (default: mnist-fc)")
    parser.add_argument(
        "--methods",
        nargs="+",
        default=METHODS,
        metavar="METHOD",
        help=f"methods to compare (default: {' '.join(METHODS)})",
    )
    parser.add_argument(
        "--batch", type=integer(1, BATCH_MAX), metavar="N", help="samples per batch (default: the preset's)"
    )
    parser.add_argument("--batches", type=integer(1), default=10, metavar="N", help="batches to measure (default: 10)")
    parser.add_argument("--device", default="cpu", help="device of PyTorch: cpu, cuda, ... (default: cpu)")
    parser.add_argument(
        "--threads", type=integer(1, THREADS_MAX), metavar="N", help="threads on the CPU (default: as PyTorch chooses)"
    )
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; exit code."""
    import torch

    from opzo.reference.methods.connections import feedback_cost, wiring
    from opzo.reference.methods.learner import Method
    from opzo.reference.methods.presets import NETWORKS, PRESETS
    from opzo.reference.runs.cost import measure
    from opzo.reference.runs.training import torch_device

    if arguments.preset not in PRESETS:
        raise no_such("preset", arguments.preset, PRESETS)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch_device(arguments.device)
    preset = PRESETS[arguments.preset]
    preset = replace(preset, batch=arguments.batch or preset.batch)
    shape, classes = SHAPES[preset.data]
    names = [name.removesuffix("-ll") for name in arguments.methods]
    methods = [
        Method(name, local=name != given, noise=preset.noise, under_noise=preset.under_noise, momentum=preset.momentum)
        for name, given in zip(names, arguments.methods, strict=True)
    ]
    counted = wiring(NETWORKS[preset.network](shape, classes, 0.0), shape)
    measured = measure(preset, shape, classes, methods, arguments.batches, arguments.device)
    base = next((cost.seconds for name, cost in zip(arguments.methods, measured, strict=True) if name == "bp"), None)
    figures = [
        {
            "method": given,
            **{f"feedback_{key}": value for key, value in asdict(feedback_cost(counted, name)).items()},
            "batch_seconds": cost.seconds,
            "ratio_to_bp": cost.seconds / base if base else None,
            "memory_bytes": cost.memory,
        }
        for given, name, cost in zip(arguments.methods, names, measured, strict=True)
    ]
    if arguments.json:
        settings = {
            "preset": arguments.preset,
            "batch": preset.batch,
            "steps": preset.steps,
            "device": arguments.device,
        }
        print_json({**settings, "threads": torch.get_num_threads(), "methods": figures})
    else:
        print(HEAD)
        for row in figures:
            ratio = "" if row["ratio_to_bp"] is None else f"{row['ratio_to_bp']:.2f}"
            counts = " | ".join(f"{row[f'feedback_{key}']:,}" for key in ("memory", "operations", "learning"))
            memory = row["memory_bytes"] / 1e6
            print(f"| {row['method']} | {counts} | {1000 * row['batch_seconds']:.1f} | {ratio} | {memory:,.0f} |")
    return 0
