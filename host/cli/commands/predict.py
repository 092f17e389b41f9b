"""``opzo predict``: classes and probabilities of samples by a trained network, as CSV or JSON lines."""

import argparse
import csv
import json
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

from opzo.host.cli.options import add_output, given_settings
from opzo.host.cli.output import log, print_json
from opzo.host.cli.trained_run import TrainedRun, add_run, add_run_config
from opzo.host.training.prediction import Prediction, predictions
from opzo.spec.messages import printable
from opzo.system.atomic import check_output, write_atomically

Record = dict[str, Any]
"""Prediction for one sample, with ``sample``, ``class``, ``name``, ``label`` if known, and ``probabilities``."""
DIGITS = 6
"""Decimals of a probability."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.usage = "opzo predict [options] RUN DATA"
    add_run(parser)
    parser.add_argument(
        "data",
        metavar="DATA",
        help="name of a data set, or .npz file of images or events; labels are not needed: an array x is enough",
    )
    parser.add_argument(
        "--format",
        choices=list(FORMATS),
        help="csv, or jsonl: a JSON object in each line (default: by the suffix of --out, else csv)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="file to write (default: standard output)")
    add_run_config(parser)
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Predict; exit code."""
    if arguments.out is not None:
        check_output(arguments.out)
    trained = TrainedRun.load(arguments.run, arguments.set, given_settings(arguments), labels=False)
    lines = FORMATS[_format(arguments)]
    found: list[Record] = []
    with trained.device() as device:
        records = _records(trained, found, predictions(device, trained.checkpoint.network, trained.samples))
        if arguments.out is not None:
            write_atomically(arguments.out, "".join(lines(records)).encode())
        elif arguments.json:
            list(records)
        else:
            for line in lines(records):
                print(line, end="")
    facts: dict[str, Any] = {"data": trained.config.data, "set": arguments.set, "samples": len(found)}
    if trained.samples.labelled:
        facts["accuracy"] = sum(record["class"] == record["label"] for record in found) / len(found)
    if arguments.json:
        written = {"predictions": found} if arguments.out is None else {"file": str(arguments.out)}
        print_json({"device": trained.config.device, "class_names": list(trained.names)} | facts | written)
    elif not arguments.quiet:
        accuracy = f", accuracy {facts['accuracy']:.2%}" if "accuracy" in facts else ""
        log(f"opzo: {len(found)} samples of {trained.config.data}{accuracy}")
    return 0


def _format(arguments: argparse.Namespace) -> str:
    suffix = "" if arguments.out is None else arguments.out.suffix.lower().removeprefix(".")
    return str(arguments.format or (suffix if suffix in FORMATS else "csv"))


def _records(trained: TrainedRun, found: list[Record], answers: Iterator[Prediction]) -> Iterator[Record]:
    """Record of each sample, which is also appended to ``found``."""
    names, labels = trained.names, trained.samples.y.tolist()
    for sample, (answer, label) in enumerate(zip(answers, labels, strict=True)):
        record: Record = {"sample": sample, "class": answer.label}
        record["name"] = names[answer.label] if names else str(answer.label)
        if trained.samples.labelled:
            record["label"] = label
        record["probabilities"] = [round(value, DIGITS) for value in answer.probabilities.tolist()]
        found.append(record)
        yield record


def _csv_lines(records: Iterator[Record]) -> Iterator[str]:
    """Lines of a CSV file with a header; the probability of class k is in column ``p_k``."""
    for record in records:
        cells = {key: value for key, value in record.items() if key != "probabilities"}
        # Names come from files; a terminal must only show them.
        cells["name"] = printable(cells["name"])
        shares = [f"{value:.{DIGITS}f}" for value in record["probabilities"]]
        if record["sample"] == 0:
            yield _csv_line([*cells, *(f"p_{label}" for label in range(len(shares)))])
        yield _csv_line([*cells.values(), *shares])


def _csv_line(cells: list[Any]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _json_lines(records: Iterator[Record]) -> Iterator[str]:
    return (json.dumps(record) + "\n" for record in records)


FORMATS: dict[str, Callable[[Iterator[Record]], Iterator[str]]] = {"csv": _csv_lines, "jsonl": _json_lines}
"""Formats of predictions, by the suffix of a file."""
