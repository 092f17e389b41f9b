"""Figures of a campaign: by folder, and the survivors with a verdict."""

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from mutation.belongs import FOLDERS
from mutation.campaign import INVALID, KILLED, SURVIVED, TIMEOUT, UNCLEAR, Row, of_row
from mutation.mutant import shown
from opzo.spec.errors import OpzoError

VERDICTS = Path(__file__).with_name("verdicts.toml")
"""Why survivors survive; by key: ``verdict`` and ``why``."""
EQUIVALENT, GAP = "equivalent", "gap"
"""Verdicts: no test can tell the mutant from the original; a test is missing."""


def read_verdicts(path: Path = VERDICTS) -> dict[str, dict[str, str]]:
    """Verdicts by key of a mutant; OpzoError if one is of another kind."""
    verdicts: dict[str, dict[str, str]] = tomllib.loads(path.read_text())
    for key, verdict in verdicts.items():
        if verdict.get("verdict") not in (EQUIVALENT, GAP) or not verdict.get("why"):
            raise OpzoError(f"{path}: {key} needs a verdict, {EQUIVALENT} or {GAP}, and a why")
    return verdicts


def figures(rows: dict[str, Row], verdicts: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Numbers of mutants by folder and for all, and the rows of the survivors with their verdicts.

    ``raw`` is the share killed of all that are valid, ``killed_share`` of those that are not equivalent; None without
    any.
    """
    survivors = [row | {"verdict": "", "why": ""} | verdicts.get(row["key"], {}) for row in _survived(rows)]
    equivalent = Counter(row["folder"] for row in survivors if row["verdict"] == EQUIVALENT)
    table = {}
    for folder in FOLDERS:
        table[folder] = Counter(row["status"] for row in rows.values() if row["folder"] == folder)
        table[folder][EQUIVALENT] = equivalent[folder]
    table["all"] = sum(table.values(), Counter())
    return {"folders": {name: _shares(counts) for name, counts in table.items()}, "survivors": survivors}


def _survived(rows: dict[str, Row]) -> list[Row]:
    return sorted(
        (row for row in rows.values() if row["status"] == SURVIVED), key=lambda row: (row["file"], row["line"])
    )


def _shares(counts: Counter[str]) -> dict[str, Any]:
    killed = counts[KILLED] + counts[TIMEOUT]
    valid = killed + counts[SURVIVED]
    names = (KILLED, TIMEOUT, SURVIVED, EQUIVALENT, INVALID, UNCLEAR)
    return {
        "mutants": valid,
        **{name: counts[name] for name in names},
        "raw": killed / valid if valid else None,
        "killed_share": killed / (valid - counts[EQUIVALENT]) if valid > counts[EQUIVALENT] else None,
    }


def table(found: dict[str, Any]) -> str:
    """The figures in Markdown."""
    lines = [
        "| folder | mutants | killed by a test | by the time limit | survived | of these equivalent | "
        "killed, of all | killed, of those not equivalent | invalid | unclear |",
        "|" + " --- |" * 10,
    ]
    for name, row in found["folders"].items():
        counts = (row["mutants"], row[KILLED], row[TIMEOUT], row[SURVIVED], row[EQUIVALENT])
        shares = (_percent(row["raw"]), _percent(row["killed_share"]))
        lines.append("| " + " | ".join(map(str, (name, *counts, *shares, row[INVALID], row[UNCLEAR]))) + " |")
    lines += ["", "| survivor | change | verdict | why |", "| --- | --- | --- | --- |"]
    for row in found["survivors"]:
        mutant = of_row(row)
        change = f"`{_cell(shown(mutant.before))}` to `{_cell(shown(mutant.after))}`"
        verdict = row["verdict"] or "none yet"
        lines.append(f"| `{mutant.file}:{mutant.line}` {row['key']} | {change} | {verdict} | {row['why']} |")
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _cell(text: str) -> str:
    """Text in a cell of a table, cut in the middle."""
    text = text.replace("|", "\\|")
    return text if len(text) <= 90 else f"{text[:60]} ... {text[-25:]}"
