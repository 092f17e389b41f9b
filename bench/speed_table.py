"""Figures of bench/speed.py as Markdown."""

from collections.abc import Iterable
from typing import Any


def markdown(figures: dict[str, Any]) -> str:
    """Tables: cycles, samples per second, bytes on the link, PyTorch, other chips."""
    chips = figures["chips"]
    parts = [
        f"Network {figures['network']}, {figures['data']}, {figures['samples']} samples of each kind.\n",
        table(
            ["lanes", "local", "training, cycles", "model", "useful", "inference, cycles", "model", "useful"],
            (
                [
                    str(row["lanes"]),
                    str(row["local"]),
                    *cost(row["cycles_per_train_sample"], row["model"], row["useful_share"]),
                    *cost(row["cycles_per_test_sample"], row["model_test"], row["useful_share_test"]),
                ]
                for row in chips
            ),
        ),
        table(
            ["lanes", "local", "kind", *(name for name in chips[0]["train"])],
            (
                [str(row["lanes"]), str(row["local"]), kind, *(f"{cycles:,.0f}" for cycles in row[key].values())]
                for row in chips
                for kind, key in (("training", "train"), ("inference", "test"))
            ),
        ),
        table(
            ["lanes", "local", "clock", "MHz", "training samples/s", "inference samples/s"],
            (
                [
                    *(str(row["lanes"]), str(row["local"]), clock["clock"], f"{clock['clock_mhz']:g}"),
                    f"{clock['train_samples_per_second']:,}",
                    f"{clock['test_samples_per_second']:,}",
                ]
                for row in chips
                for clock in row["clocks"]
            ),
        ),
        table(
            ["lanes", "local", "bytes a training sample", *(f"{int(b) // 1_000_000} Mbaud, samples/s" for b in BAUDS)],
            (
                [
                    *(str(row["lanes"]), str(row["local"]), f"{row['bytes_per_train_sample']:,.0f}"),
                    *(f"{row['link_train_samples_per_second'][baud]:,}" for baud in BAUDS),
                ]
                for row in chips
            ),
        ),
    ]
    if figures["pytorch"]:
        parts.append(
            table(
                ["PyTorch, one core", "batch", "training samples/s", "inference samples/s"],
                (
                    [
                        *(row["method"], str(row["batch"])),
                        *(f"{row[f'{kind}_samples_per_second']:,}" for kind in ("train", "test")),
                    ]
                    for row in figures["pytorch"]
                ),
            )
        )
    parts.append(
        table(
            ["other chips", "network", "training, cycles", "inference, cycles", "basis", "assumption", "source"],
            (
                [
                    *(row["chip"], row["network"], f"{row['train']:,}", f"{row['test']:,}"),
                    *(row["basis"], row["assumption"], row["source"]),
                ]
                for row in figures["others"]
            ),
        )
    )
    return "\n".join(parts)


BAUDS = ("1000000", "3000000", "12000000")
"""Keys of ``link_train_samples_per_second``."""


def cost(counted: float, model: float, share: float) -> list[str]:
    """Table cells: counted cycles, cycles of the cost model, and the share that moves a row-word."""
    return [f"{counted:,.0f}", f"{model:,.0f}", f"{share:.1%}"]


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """One Markdown table."""
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, ["---"] * len(head), *rows])
