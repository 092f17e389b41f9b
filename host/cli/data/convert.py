"""``opzo data convert``: convert recordings to an .npz file of events."""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

from opzo.host.cli.option_types import SIDE_MAX, integer, size
from opzo.host.cli.options import add_camera, add_output
from opzo.host.cli.output import log, print_facts
from opzo.host.data.events.binning import SPLITS, Binning, bin_recordings
from opzo.host.data.events.event_files import PARTS, STEPS_MAX, save_events
from opzo.host.data.events.event_samples import Events
from opzo.host.data.events.recorded_data_sets import RECORDED_DATA_SETS, load_recorded_data
from opzo.host.data.labels import LABEL_MAX
from opzo.host.data.recordings.clock import TIME_MAX
from opzo.host.data.recordings.folders import recordings_of_folder
from opzo.host.data.recordings.lists import LIST_SUFFIXES, Labelled, recordings_of_list, split
from opzo.host.data.recordings.readers import read_recording
from opzo.host.data.recordings.recording import Recording
from opzo.spec.errors import OpzoError
from opzo.system.atomic import check_output

STEPS = 20


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "source",
        nargs="+",
        metavar="SOURCE",
        help=f"{', '.join(RECORDED_DATA_SETS)}; a folder [train|test/]CLASS/RECORDING; a list (.csv, .txt) with lines "
        "RECORDING,LABEL[,train|test]; or single recordings, with --label",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=".npz file to write (required)")
    parser.add_argument("--data-root", default="", metavar="DIR", help="folder of a named data set (default: none)")
    parser.add_argument(
        "--label", type=integer(0, LABEL_MAX), metavar="N", help="label of single recordings (default: none)"
    )
    parser.add_argument(
        "--test-every",
        type=integer(2),
        default=5,
        metavar="N",
        help="put one in N recordings of a class in the test part (default: 5)",
    )
    parser.add_argument(
        "--steps",
        type=integer(1, STEPS_MAX),
        metavar="N",
        help=f"time steps per sample (default: as for the data set, else {STEPS})",
    )
    microseconds = integer(1, TIME_MAX)
    parser.add_argument(
        "--bin-us",
        type=microseconds,
        metavar="US",
        help="length of a time step in us (default: --steps equal parts of the recording)",
    )
    parser.add_argument(
        "--start-us",
        type=integer(-TIME_MAX, TIME_MAX),
        metavar="US",
        help="time stamp of step 0 in us (default: first event)",
    )
    parser.add_argument(
        "--duration", type=microseconds, metavar="US", help="length of the recording to use, in us (default: all)"
    )
    parser.add_argument(
        "--split", choices=SPLITS, help="divide into steps of equal time or equal number of events (default: time)"
    )
    parser.add_argument("--size", type=size, metavar="WxH", help="size to which the sensor is reduced (default: none)")
    parser.add_argument(
        "--reduce",
        type=integer(1, SIDE_MAX),
        metavar="N",
        help="factor by which width and height are reduced (default: 1)",
    )
    parser.add_argument(
        "--crop",
        type=integer(1, SIDE_MAX),
        metavar="N",
        help="use only the N x N pixels in the middle of the sensor (default: all)",
    )
    parser.add_argument(
        "--counts",
        action="store_true",
        help="make graded events, whose value is the number of events (default: spikes)",
    )
    add_camera(parser)
    parser.add_argument("--description", default="", metavar="TEXT", help="origin of the data, stored in the file")
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Convert, write the file and print figures; exit code."""
    check_output(arguments.out, suffix=".npz")
    begun = monotonic()
    train, test, description = _converted(arguments)
    save_events(arguments.out, train, test, arguments.description or description)
    facts: dict[str, Any] = {"file": str(arguments.out), "seconds": round(monotonic() - begun, 2)}
    facts |= {"shape": list(train.shape), "steps": train.steps, "graded": train.graded}
    for part, events in zip(PARTS, (train, test), strict=True):
        facts[f"{part}_samples"] = len(events)
        facts[f"{part}_events_a_sample"] = round(len(events.addresses) / len(events), 1)
    print_facts(facts, as_json=arguments.json)
    return 0


def _converted(arguments: argparse.Namespace) -> tuple[Events, Events, str]:
    """Both parts and a description of them."""
    first, several = arguments.source[0], len(arguments.source) > 1
    if first in RECORDED_DATA_SETS and not several:
        binning = _binning(arguments, RECORDED_DATA_SETS[first].binning)
        return *load_recorded_data(first, arguments.data_root, binning=binning), f"{first}: {binning}"
    binning = _binning(arguments, Binning(STEPS))
    paths = [Path(source) for source in arguments.source]
    if arguments.label is not None:
        events = _events([Labelled(path, arguments.label) for path in paths], binning, arguments, "recordings")
        log("opzo: both parts of the file hold these recordings; do not train and test with it")
        return events, events, f"{', '.join(arguments.source)}, both parts the same: {binning}"
    if several:
        raise OpzoError(f"several recordings need a label: {', '.join(arguments.source)}; give --label N, or a list")
    classes: list[str] = []
    if paths[0].is_dir():
        recordings, classes = recordings_of_folder(paths[0])
    elif paths[0].suffix.lower() in LIST_SUFFIXES:
        recordings = recordings_of_list(paths[0])
    elif paths[0].exists():
        raise OpzoError(f"{first} is a single recording, which needs a label; give --label N")
    else:
        raise OpzoError(f"there is no {first}; give {', '.join(RECORDED_DATA_SETS)}, a folder, a list or a recording")
    parts = split(recordings, arguments.test_every)
    train, test = (
        replace(_events(part, binning, arguments, name), names=tuple(classes))
        for part, name in zip(parts, PARTS, strict=True)
    )
    named = f", classes {' '.join(f'{label}={name}' for label, name in enumerate(classes))}" if classes else ""
    return train, test, f"{first}{named}: {binning}"


def _binning(arguments: argparse.Namespace, default: Binning) -> Binning:
    """Binning of the options; those of ``default`` that are not given stay, but for those which they stand in for."""
    names = {"steps": "steps", "bin_us": "bin_us", "start_us": "start_us", "duration": "duration_us", "split": "split"}
    names |= {"size": "size", "reduce": "reduce", "crop": "crop"}
    given = {field: getattr(arguments, option) for option, field in names.items()}
    given = {field: value for field, value in given.items() if value is not None}
    if "bin_us" in given:
        default = replace(default, split="time", duration_us=0)
    elif "duration_us" in given or "split" in given:
        default = replace(default, bin_us=0)
    if "reduce" in given:
        default = replace(default, size=None)
    return replace(default, counts=arguments.counts or default.counts, **given)


def _events(recordings: list[Labelled], binning: Binning, arguments: argparse.Namespace, name: str) -> Events:
    def read() -> Iterator[tuple[Recording, int]]:
        for recording in recordings:
            yield read_recording(recording.path, arguments.sensor, arguments.camera), recording.label

    return bin_recordings(read(), binning, name)
