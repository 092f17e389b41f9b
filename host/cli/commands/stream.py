"""``opzo stream``: send recordings or a live source through a trained network, without sample boundaries."""

import argparse
import logging
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from opzo.host.cli.exit_codes import DONE, INTERRUPTED
from opzo.host.cli.option_types import integer, size
from opzo.host.cli.options import (
    AS_TRAINED,
    add_camera,
    add_config,
    add_output,
    add_time_clock,
    clock_mhz,
    given_settings,
)
from opzo.host.cli.output import log, print_json
from opzo.host.cli.stream_session import Session, figures, show_figures
from opzo.host.data.class_names import find_class
from opzo.host.driver.device import Device, open_device
from opzo.host.driver.state import State
from opzo.host.driver.statistics import counter_array
from opzo.host.stream.live_counts import LiveCounts
from opzo.host.stream.live_source import MAX_GAP
from opzo.host.stream.sources import Sources, check_sources
from opzo.host.stream.stream import Stream
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.run_folder import checkpoint_path
from opzo.host.training.schedule_registers import STREAM_RATE, stream_registers
from opzo.spec.errors import LinkError
from opzo.spec.formats import MAX_STEPS
from opzo.spec.registers import Counter
from opzo.system.atomic import check_output
from opzo.system.interrupt import Interrupt

BIN_US, BIN_US_MAX = 10_000, 1 << 31
RATE_MAX = 255
MAX_BAD = 100
LATE_SHARE = 0.1
"""Ratio of late events to accepted ones above which the user is warned."""
COUNT_MAX = 1_000_000_000

logger = logging.getLogger(__name__)


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("run", type=Path, help="run folder or checkpoint of a network trained on events")
    parser.add_argument(
        "source",
        nargs="+",
        help="event data sets (name or .npz file; the test part is used), recordings, udp:[HOST:]PORT, "
        "dv:[HOST:]PORT, or - for stdin (docs/streams.md)",
    )
    parser.add_argument("--learn", action="store_true", help="start with learning on")
    parser.add_argument(
        "--label", metavar="CLASS", help="class of the first input, as number or name (default: unknown)"
    )
    _add_number(parser, "--rate", 0, RATE_MAX, STREAM_RATE, "step size of learning")
    _add_number(parser, "--bin-us", 1, BIN_US_MAX, BIN_US, "length of a time step in us", "US")
    text = "time steps per decision; 0 starts a new one only with a label or recording"
    _add_number(parser, "--window", 0, MAX_STEPS, 0, text)
    text = "longest gap in the time stamps, in time steps; longer gaps are skipped"
    _add_number(parser, "--max-gap", 0, COUNT_MAX, MAX_GAP, text)
    text = "live records that may be malformed or go back in time; they are skipped, one more ends the stream"
    _add_number(parser, "--max-bad", 0, COUNT_MAX, MAX_BAD, text)
    parser.add_argument("--size", type=size, metavar="WxH", help="size to which the sensor is reduced (default: none)")
    add_camera(parser)
    # Its name is not ``reset``, which is a setting of the neurons.
    parser.add_argument(
        "--reset",
        dest="fresh",
        action="store_true",
        help="clear membrane potentials and traces before each recording",
    )
    parser.add_argument(
        "--save", type=Path, metavar="FILE", help="checkpoint (.npz) to write at the end (default: none)"
    )
    keys = ("data_root", "crop", "device", "lanes", "weight_bits")
    add_config(parser, keys, **dict.fromkeys(keys, AS_TRAINED))
    add_time_clock(parser)
    add_output(parser)


def _add_number(
    parser: argparse.ArgumentParser, name: str, low: int, high: int, default: int, text: str, metavar: str = "N"
) -> None:
    text = f"{text} (default: {default})"
    parser.add_argument(name, type=integer(low, high), default=default, metavar=metavar, help=text)


def run(arguments: argparse.Namespace) -> int:
    """Stream; exit code."""
    if arguments.save:
        check_output(arguments.save)
    check_sources(arguments.source)
    checkpoint = Checkpoint.load(checkpoint_path(arguments.run))
    network, rule, names = checkpoint.network, checkpoint.rule, checkpoint.class_names
    config = checkpoint.config(given_settings(arguments), str(arguments.run))
    label = None if arguments.label is None else find_class(arguments.label, names, network.classes)
    ending = "saving; press Ctrl-C again to quit without" if arguments.save else "press Ctrl-C again to quit now"
    with (
        open_device(config.device, network, config.lanes, config.weight_bits) as device,
        Interrupt(lambda: log(f"opzo: stopping; {ending}")) as interrupt,
    ):
        if arguments.learn:
            device.require_learning()
        device.configure(network, rule)
        checkpoint.state.write(device)
        if device.limits.learning:
            device.write_registers(stream_registers(config, arguments.rate))
            device.forget_magnitudes()
        stream = Stream(device, network, window=arguments.window)
        stream.learning, stream.label = arguments.learn, label
        counts = LiveCounts(arguments.max_bad)
        sources = Sources(
            *(network, counts, interrupt, config.data_root),
            *(arguments.bin_us, arguments.max_gap, arguments.size, arguments.sensor, arguments.camera),
            reset=arguments.fresh,
            crop=config.crop,
        )
        measured = _Measurement(device)
        session = Session(stream, network, names, counts, interrupt, shows=not arguments.quiet)
        failure = _play(session, sources, arguments.source)
        if failure is not None and (isinstance(failure, KeyboardInterrupt) or not stream.steps):
            raise failure
        if failure is not None and not isinstance(failure, LinkError):
            with suppress(LinkError):
                session.end()
        try:
            if arguments.save:
                state = State.read(device, rule)
                saved = Checkpoint(network, rule, state, settings=checkpoint.settings, class_names=session.names)
                saved.save(arguments.save)
                if failure is not None:
                    log(f"opzo: the network learned so far is in {arguments.save}")
            shown = measured.figures(session, clock_mhz(arguments, device))
        except LinkError as error:
            lost = "; the learned network cannot be read from the device and is lost" if arguments.save else ""
            raise LinkError(f"{failure or error}{lost}") from error
    if shown["late"] > LATE_SHARE * shown["events"]:
        text = f"{shown['late']:,} events were late, {shown['events']:,} accepted in all"
        log(f"opzo: warning: {text}; is the clock of the sender correct?")
    if arguments.learn and shown["steps"] and not shown["steps_learned"]:
        log("opzo: warning: nothing was learned, because no label was given; give --label CLASS, or send LABEL records")
    if arguments.json:
        print_json(shown)
    else:
        show_figures(shown)
    if failure is not None:
        raise failure
    return INTERRUPTED if interrupt.requested else DONE


def _play(session: Session, sources: Sources, names: list[str]) -> BaseException | None:
    """Play all sources; the error that ended it early, which is raised after the network has been saved."""
    try:
        with session:
            for name in names:
                if not sources.interrupt.requested:
                    session.play(name, sources)
            session.end()
    except (Exception, KeyboardInterrupt) as error:
        return error
    return None


class _Measurement:
    """Figures of a device from now on."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._before, self._sent = counter_array(device.counters()), device.bytes_sent
        self._begun = time.monotonic()

    def figures(self, session: Session, mhz: float) -> dict[str, Any]:
        """Figures of a session; ``mhz`` is the clock for converting cycles to time."""
        device, seconds = self._device, time.monotonic() - self._begun
        counted = dict(zip(Counter, (counter_array(device.counters()) - self._before).tolist(), strict=True))
        return figures(session, counted, device, device.bytes_sent - self._sent, mhz) | {"seconds": seconds}
