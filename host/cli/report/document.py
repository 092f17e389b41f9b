"""The report as HTML, by a Jinja2 template."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

import opzo
from opzo.host.cli.report.facts import RunFacts
from opzo.host.cli.report.pictures import (
    comparison_picture,
    confusion_picture,
    curves_picture,
    raster_pictures,
    weights_pictures,
)
from opzo.host.report.energy import energy_text
from opzo.host.report.units import duration
from opzo.host.training.bottleneck import describe_bottleneck
from opzo.host.training.run_folder import CONFIG
from opzo.spec.messages import printable

TEMPLATE = "report.html.j2"
MISSING = "-"


@dataclass(frozen=True)
class Section:
    """A run as the template shows it; pictures are addresses of data, '' where there is none."""

    name: str
    facts: RunFacts
    curves: str
    confusion: str
    rasters: list[str]
    weights: list[str]
    settings: dict[str, Any]
    time: dict[str, str]
    energy: dict[str, Any]
    repeat: list[str]


def report_html(sections: Sequence[Section]) -> str:
    """One self-contained HTML file on all runs."""
    environment = Environment(
        loader=PackageLoader("opzo.host.cli.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["energy"] = energy_text
    with_curves = [section for section in sections if section.facts.folder.rows]
    return environment.get_template(TEMPLATE).render(
        version=opzo.__version__,
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        sections=sections,
        overview=_overview([section.facts for section in sections]),
        comparison=comparison_picture({each.name: each.facts.folder.rows for each in with_curves})
        if len(with_curves) > 1
        else "",
        same=[key for key in sections[0].settings if len({str(each.settings.get(key)) for each in sections}) == 1],
    )


def section_of(facts: RunFacts, name: str, samples: int) -> Section:
    """Section on a run whose device is open; ``samples`` is the number of test samples with a spike raster."""
    figures = facts.figures
    cycles = f"{figures['test']['cycles_per_sample']:,.0f} {figures['test_cycles']}"
    folder = facts.folder.path
    return Section(
        name,
        facts,
        curves_picture(facts) if facts.folder.rows else "",
        confusion_picture(facts),
        raster_pictures(facts, samples) if samples else [],
        weights_pictures(facts),
        {key: printable(str(value)) for key, value in figures["settings"].items()},
        describe_bottleneck(figures["time"], cycles),
        figures["energy"],
        [
            f"opzo train --config {shlex.quote(str(folder / CONFIG))} --out NEW",
            f"opzo eval {shlex.quote(str(folder))}",
        ],
    )


def _overview(runs: Sequence[RunFacts]) -> list[tuple[str, list[str]]]:
    """Rows of the table of all runs: what, and the text of each run."""

    def row(what: str, text: Any) -> tuple[str, list[str]]:
        return what, [printable(text(facts, facts.figures)) for facts in runs]

    return [
        row("network", lambda facts, of: str(facts.model.network)),
        row("data", lambda facts, of: of["settings"]["data"]),
        row("rule, seed", lambda facts, of: f"{of['settings']['rule']}, {of['settings']['seed']}"),
        row("trained on", lambda facts, of: f"{of['training_device']}, {of['settings']['lanes']} lanes"),
        row("epochs", lambda facts, of: f"{of['epochs']} of {of['settings']['epochs']}"),
        row("test accuracy", lambda facts, of: f"{of['test']['accuracy']:.2%} of {of['test']['samples']:,}"),
        row("training accuracy, with noise", lambda facts, of: _share(of["train_accuracy"])),
        row("test loss, bits per time step", lambda facts, of: f"{of['test']['loss']:.3f}"),
        row(
            "firing rates of hidden layers", lambda facts, of: " ".join(f"{x:.3f}" for x in of["test"]["firing_rates"])
        ),
        row("cycles per test sample", lambda facts, of: _cycles(of["test"])),
        row("cycles per training sample", lambda facts, of: _cycles(of["train_figures"])),
        row("synaptic operations per test sample", lambda facts, of: _count(of["test"], "synaptic_operations")),
        row(
            "synaptic operations per training sample", lambda f, of: _count(of["train_figures"], "synaptic_operations")
        ),
        row("weight updates per training sample", lambda f, of: _count(of["train_figures"], "weight_updates")),
        row("engine time per test sample", lambda facts, of: _engine(of["time"])),
        row("energy per test sample, estimate", lambda facts, of: energy_text(of["energy"]["chip"]["total"])),
        row("same network in float on a CPU, estimate", lambda f, of: energy_text(of["energy"]["float_cpu"]["total"])),
        row("training samples per second", lambda f, of: _number(of["samples_per_second"])),
        row("time of training", lambda f, of: _seconds(of["training_seconds"])),
    ]


def _share(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2%}"


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:,.0f}"


def _seconds(value: float | None) -> str:
    return MISSING if value is None else duration(1e6 * value)


def _cycles(figures: dict[str, Any] | None) -> str:
    return MISSING if figures is None else f"{figures['cycles_per_sample']:,.0f} {figures['cycles']}"


def _count(figures: dict[str, Any] | None, what: str) -> str:
    return MISSING if figures is None else f"{figures[f'{what}_per_sample']:,.0f}"


def _engine(time: dict[str, Any]) -> str:
    return f"{duration(1e6 * time['engine_seconds'])} at {time['clock_mhz']:g} MHz"


def names_of(folders: Sequence[Path]) -> list[str]:
    """Names of run folders, or their paths where two have the same name."""
    names = [folder.resolve().name for folder in folders]
    return [printable(name) for name in (names if len(set(names)) == len(names) else map(str, folders))]
