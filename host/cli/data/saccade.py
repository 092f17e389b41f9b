"""``opzo data saccade``: generate a SYNTHETIC event data set from images with a simulated camera."""

import argparse
from dataclasses import asdict, fields
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from opzo.host.cli.option_types import integer, number
from opzo.host.cli.options import add_output
from opzo.host.cli.output import print_json
from opzo.host.data.data_sets import SYNTHETIC, load_saccade
from opzo.host.data.events.event_sample import EventSample
from opzo.host.data.events.event_samples import Events
from opzo.host.data.events.saccade_camera import ON, SENSOR, SaccadeCamera
from opzo.host.report.matplotlib_settings import picture_png
from opzo.host.report.pictures import write_picture
from opzo.spec.errors import OpzoError
from opzo.system.atomic import check_output

FRAMES, FRAMES_A_ROW = 15, 5
"""A picture has one row of frames for each saccade."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--images", default="digits", help="digits, mnist, or an .npz file of square images (default: digits)"
    )
    parser.add_argument("--data-root", default="", metavar="DIR", help="folder of the four MNIST files (default: none)")
    parser.add_argument("--out", type=Path, metavar="FILE", help=".npz file to write (default: none, only the cache)")
    parser.add_argument("--picture", type=Path, metavar="FILE", help=".png file for a picture of a training recording")
    parser.add_argument(
        "--sample", type=integer(0), default=0, metavar="N", help="index of the recording in the picture (default: 0)"
    )
    for entry in fields(SaccadeCamera):
        assert isinstance(entry.type, type)
        limits = entry.metadata["low"], entry.metadata["high"]
        parser.add_argument(
            "--" + entry.name.replace("_", "-"),
            type=integer(*limits) if entry.type is int else number(*limits),
            default=entry.default,
            metavar=entry.type.__name__.upper(),
            help=f"{entry.metadata['help']} (default: {entry.default})",
        )
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Generate the data set, write the requested files and print figures; exit code."""
    camera = SaccadeCamera(**{entry.name: getattr(arguments, entry.name) for entry in fields(SaccadeCamera)})
    if arguments.out:
        check_output(arguments.out, suffix=".npz")
    if arguments.picture:
        check_output(arguments.picture)
    begun = monotonic()
    train, test = load_saccade(SYNTHETIC + arguments.images, arguments.data_root, camera)
    facts: dict[str, Any] = {"synthetic": True, "seconds": round(monotonic() - begun, 2)}
    facts |= {"train": _figures(train), "test": _figures(test), "camera": asdict(camera)}
    if arguments.picture:
        if not 0 <= arguments.sample < len(train):
            raise OpzoError(f"there is no recording {arguments.sample}; --sample goes from 0 to {len(train) - 1}")
        title = f"synthetic recording {arguments.sample}, label {train.y[arguments.sample]}"
        sample = train[arguments.sample]
        write_picture(arguments.picture, lambda: recording_png(sample, title, camera.duration_ms))
    if arguments.out:
        from opzo.host.data.events.event_files import save_events

        save_events(arguments.out, train, test, f"synthetic saccades over {arguments.images}: {camera}")
    if arguments.json:
        print_json(facts)
    else:
        print(f"synthetic recordings, made or loaded in {facts['seconds']} s")
        for part in ("train", "test"):
            print(f"{part}: " + ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in facts[part].items()))
    return 0


def _figures(events: Events) -> dict[str, Any]:
    a_step = np.diff(events.offsets, axis=1)
    a_sample = a_step.sum(axis=1)
    return {
        "samples": len(events),
        "events_a_sample": round(float(a_sample.mean()), 1),
        "fewest_a_sample": int(a_sample.min()),
        "most_a_sample": int(a_sample.max()),
        "events_a_step": round(float(a_step.mean()), 2),
        "fewest_a_step": int(a_step.min()),
        "most_a_step": int(a_step.max()),
        "on_share": round(float(np.count_nonzero(events.addresses >= ON * SENSOR**2) / max(1, a_sample.sum())), 4),
        "bytes": events.addresses.nbytes + events.offsets.nbytes + events.y.nbytes,
    }


def recording_png(sample: EventSample, title: str, duration_ms: float) -> bytes:
    """Frames of the events over time, ON red and OFF blue on white, as a PNG picture."""
    steps = len(sample.offsets) - 1
    counts = np.zeros((steps, 2 * SENSOR**2))
    counts[np.repeat(np.arange(steps), np.diff(sample.offsets)), sample.addresses] = 1
    edges = np.linspace(0, steps, min(FRAMES, steps) + 1).astype(int)
    rows = -(-(len(edges) - 1) // FRAMES_A_ROW)

    def draw(figure: Any) -> None:
        figure.suptitle(title)
        axes = figure.subplots(rows, FRAMES_A_ROW, squeeze=False).reshape(-1)
        for plot in axes:
            plot.axis("off")
        for plot, start, end in zip(axes, edges[:-1], edges[1:], strict=False):
            off, on = counts[start:end].sum(axis=0).reshape(2, SENSOR, SENSOR) / (end - start)
            plot.imshow(1 - np.stack([off, np.maximum(off, on), on], axis=-1), interpolation="nearest")
            plot.set_title(f"{duration_ms * start / steps:.0f}-{duration_ms * end / steps:.0f} ms", fontsize=8)

    return picture_png((2 * FRAMES_A_ROW, 2.3 * rows), draw, dpi=100)
