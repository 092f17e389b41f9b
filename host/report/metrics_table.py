"""Metrics of epochs as flat tables: for spreadsheets as CSV, for TensorBoard as scalars."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any


def flat(row: Mapping[str, Any], separator: str) -> dict[str, Any]:
    """Numbers and texts of a row of metrics, by the names on the way to them, joined by ``separator``.

    Entries of lists are numbered from 1: ``test_firing_rates_1`` is the rate of hidden layer 1.
    """
    result: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, list):
            value = {str(number): entry for number, entry in enumerate(value, 1)}
        if isinstance(value, Mapping):
            result |= {f"{name}{separator}{key}": entry for key, entry in flat(value, separator).items()}
        else:
            result[name] = value
    return result


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as text of a CSV file with a header; a column that a row lacks is empty in it."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
