"""Picture of bench/speed.py: training samples per second, and a roofline of the weight memory."""

from io import BytesIO
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure


def picture(figures: dict[str, Any]) -> bytes:
    """PNG of bars and roofline."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    bars(left, figures)
    roofline(right, figures)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return file.getvalue()


def bars(part: Axes, figures: dict[str, Any]) -> None:
    """Bars of training samples per second, by chip and clock, then of PyTorch."""
    found = [
        (f"P = {row['lanes']}{', LL' if row['local'] else ''}, {clock['clock']} {clock['clock_mhz']:g} MHz", speed)
        for row in figures["chips"]
        for clock in row["clocks"]
        if (speed := clock["train_samples_per_second"])
    ]
    chips = len(found)
    found += [
        (f"PyTorch {row['method']}, batch {row['batch']}", row["train_samples_per_second"])
        for row in figures["pytorch"]
    ]
    colours = ["tab:blue"] * chips + ["tab:orange"] * (len(found) - chips)
    part.barh([name for name, _ in found], [speed for _, speed in found], color=colours)
    first = figures["chips"][0]["link_train_samples_per_second"]
    for (baud, speed), style in zip(first.items(), (":", "--", "-."), strict=True):
        part.axvline(speed, color="gray", linestyle=style, label=f"link, {int(baud) // 1_000_000} Mbaud")
    part.set_xscale("log")
    part.invert_yaxis()
    part.set_xlabel("training samples/s")
    part.legend(fontsize="small", loc="lower right")


def roofline(part: Axes, figures: dict[str, Any]) -> None:
    """Weights moved per second at the nominal clock against lanes: limit of the memory, and measured use."""
    clock = figures["nominal_clock_mhz"] * 1e6
    chips = figures["chips"]
    lanes = sorted({row["lanes"] for row in chips})
    part.plot(lanes, [clock * p for p in lanes], color="black", label="weight memory: one row-word per cycle")
    for marker, local in zip("os^v", sorted({row["local"] for row in chips}), strict=False):
        for colour, kind, share in (
            ("tab:blue", "training", "useful_share"),
            ("tab:green", "inference", "useful_share_test"),
        ):
            rows = [row for row in chips if row["local"] == local]
            label = f"{kind}{', local learning' if local else ''}"
            used = [row[share] * clock * row["lanes"] for row in rows]
            part.plot([row["lanes"] for row in rows], used, marker, color=colour, label=label)
    plain = [row for row in chips if row["local"] == chips[0]["local"]]
    for baud, style in zip(plain[0]["link_train_samples_per_second"], (":", "--", "-."), strict=True):
        moved = [row["link_train_samples_per_second"][baud] * row["model"] * row["lanes"] for row in plain]
        part.plot(
            [row["lanes"] for row in plain],
            moved,
            color="gray",
            linestyle=style,
            label=f"link, {int(baud) // 1_000_000} Mbaud",
        )
    part.set_xscale("log", base=2)
    part.set_yscale("log")
    part.set_xticks(lanes, [str(p) for p in lanes])
    part.set_xlabel("lanes P")
    part.set_ylabel(f"weights moved per second at {figures['nominal_clock_mhz']:g} MHz")
    part.grid(alpha=0.3)
    part.legend(fontsize="small")
