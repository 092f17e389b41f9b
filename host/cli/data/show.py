"""``opzo data show``: show the contents of a recording or an .npz file of events."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from opzo.host.cli.options import add_camera, add_output
from opzo.host.cli.output import log, print_facts
from opzo.host.data.class_names import class_text
from opzo.host.data.events.event_files import PARTS, load_events
from opzo.host.data.events.event_samples import Events
from opzo.host.data.recordings.readers import read_recording


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("file", type=Path, metavar="FILE", help="recording, or .npz file of events")
    add_camera(parser)
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print facts, one per line; exit code."""
    if arguments.file.suffix.lower() == ".npz":
        facts = _data_set(arguments.file, arguments.json)
    else:
        facts = _recording(arguments.file, arguments.sensor, arguments.camera)
    print_facts(facts, as_json=arguments.json)
    return 0


def _recording(path: Path, sensor: tuple[int, int] | None, camera: str | None) -> dict[str, Any]:
    recording = read_recording(path, sensor, camera, look=True)
    duration = int(recording.t[-1] - recording.t[0])
    if not recording.named:
        log(
            f"opzo: {path} does not say the size of its sensor; give it with --sensor WxH where the events are used "
            f"(they need {recording.width}x{recording.height} or more)"
        )
    return {
        "events": len(recording),
        "on_events": int(np.count_nonzero(recording.polarity)),
        "width": recording.width if recording.named else None,
        "height": recording.height if recording.named else None,
        "first_us": int(recording.t[0]),
        "duration_us": duration,
        # No rate for a recording of a single moment.
        "events_per_second": round(len(recording) / duration * 1e6, 1) if duration else None,
    }


def _data_set(path: Path, as_json: bool) -> dict[str, Any]:
    train, test, description = load_events(path)
    facts: dict[str, Any] = {
        "description": description,
        "shape": list(train.shape),
        "inputs": train.inputs,
        "steps": train.steps,
        "graded": train.graded,
        "class_names": list(train.names),
    }
    return facts | {part: _figures(events, as_json) for part, events in zip(PARTS, (train, test), strict=True)}


def _figures(events: Events, as_json: bool) -> dict[str, Any]:
    a_sample = events.offsets[:, -1] - events.offsets[:, 0]
    labels, counts = np.unique(events.y, return_counts=True)
    return {
        "samples": len(events),
        "events": len(events.addresses),
        "events_a_sample": round(float(a_sample.mean()), 1),
        "fewest_a_sample": int(a_sample.min()),
        "most_a_sample": int(a_sample.max()),
        "events_a_step": round(float(a_sample.mean() / events.steps), 2),
        "samples_of_classes": {
            str(label) if as_json else class_text(label, events.names): count
            for label, count in zip(labels.tolist(), counts.tolist(), strict=True)
        },
    }
