"""Readers of the files that commands write, for comparison: what depends on time is left out."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

from matplotlib.image import imread

from opzo.host.data.events.event_files import load_events
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.config import read_toml


def read(path: Path) -> Any:
    """Content of a file, for comparison; an exception of its reader where it is damaged."""
    if path.name == "data.npz":
        train, test, text = load_events(path)
        return [getattr(part, name).tolist() for part in (train, test) for name in ("addresses", "offsets", "y")], text
    if path.suffix == ".npz":
        return {name: (array.dtype.str, array.tolist()) for name, array in Checkpoint.load(path)._arrays().items()}
    if path.suffix == ".toml":
        return read_toml(path)
    if path.suffix == ".json":
        return timeless(json.loads(path.read_text()))
    if path.suffix == ".jsonl":
        return [timeless(json.loads(line)) for line in path.read_text().splitlines()]
    if path.suffix == ".csv":
        text = path.read_text()
        rows = list(csv.DictReader(io.StringIO(text), strict=True))
        if not text.endswith("\n") or any(None in row or None in row.values() for row in rows):
            raise ValueError(f"{path} is cut off")
        return [timeless(row) for row in rows]
    if path.suffix == ".png":
        # What cannot be decoded is an error; equal pictures are equal files.
        imread(path)
        return path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    return path.read_bytes()


def timeless(value: Any) -> Any:
    """A JSON value without the figures that depend on time."""
    if isinstance(value, dict):
        return {key: timeless(entry) for key, entry in value.items() if "second" not in str(key)}
    return [timeless(entry) for entry in value] if isinstance(value, list) else value
