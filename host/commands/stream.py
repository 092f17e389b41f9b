"""``opzo stream``: recordings or a live source through a trained network, without sample boundaries."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.live import Live

from opzo.host.binning import Binning
from opzo.host.checkpoint import Checkpoint
from opzo.host.config import Config
from opzo.host.data import load_data
from opzo.host.device import Device, open_device
from opzo.host.dv_network import read_dv
from opzo.host.events import Events, EventSample
from opzo.host.interrupt import Interrupt
from opzo.host.limit import link_or_engine, times
from opzo.host.live import NO_LABEL, Change, Kind, Records, TimeStep, TimeSteps, parse_address, read_pipe, read_udp
from opzo.host.options import CLOCK, add_camera, add_clock, add_config, add_output, given, print_json, size
from opzo.host.rates import rate_registers
from opzo.host.recording import Recording
from opzo.host.recordings import SUFFIXES, read_recording
from opzo.host.run_folder import checkpoint_path
from opzo.host.state import State
from opzo.host.statistics import counter_array, cycles_are
from opzo.host.stream import Stream
from opzo.spec.errors import OpzoError
from opzo.spec.network import Input, Network
from opzo.spec.registers import Counter

BIN_US = 10_000
BLOCK = 1000
"""Time steps of a recording that are made at once."""
RATE = 20
REPORT_SECONDS = 0.2
Items = Iterator[TimeStep | Change]


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("run", type=Path, help="run folder or checkpoint of a network that was trained on events")
    parser.add_argument(
        "source",
        nargs="+",
        help="event data sets (a name or .npz file; their test part), recordings, udp:[HOST:]PORT, dv:[HOST:]PORT, "
        "or - for stdin (docs/streams.md)",
    )
    parser.add_argument("--learn", action="store_true", help="begin with learning switched on")
    parser.add_argument("--label", type=int, metavar="CLASS", help="class of what comes first (default: unknown)")
    parser.add_argument("--rate", type=int, default=RATE, help=f"step size of learning, 0..255 (default: {RATE})")
    parser.add_argument("--bin-us", type=int, default=BIN_US, help=f"microseconds a time step (default: {BIN_US})")
    parser.add_argument(
        "--window", type=int, default=0, help="time steps after which a decision begins anew (default: at labels only)"
    )
    parser.add_argument("--size", type=size, metavar="WxH", help="size to reduce a sensor to")
    add_camera(parser)
    parser.add_argument("--reset", action="store_true", help="forget membranes and traces before each recording")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the network as it is afterwards (.npz)")
    same = "as in training"
    keys = ("data_root", "device", "lanes", "weight_bits")
    add_config(parser, keys, **dict.fromkeys(keys, same))
    add_clock(parser, f"clock in MHz used to convert cycles to time (default: the device's, or {CLOCK:g})")
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Stream; exit code."""
    checkpoint = Checkpoint.load(checkpoint_path(arguments.run))
    network, rule = checkpoint.network, checkpoint.rule
    config = replace(checkpoint.config(given(arguments), str(arguments.run)), rate=arguments.rate)
    with (
        open_device(config.device, network, config.lanes, config.weight_bits) as device,
        Interrupt(lambda: None) as interrupt,
    ):
        device.configure(network, rule)
        checkpoint.state.write(device)
        device.write_registers(rate_registers(config, 0, 1))
        stream = Stream(device, network, window=arguments.window)
        stream.learning, stream.label = arguments.learn, arguments.label
        before, sent = counter_array(device.counters()), device.bytes_sent
        begun = time.monotonic()
        session = _Session(stream, arguments, device)
        with session:
            for source in arguments.source:
                session.play(_items(source, session, config, interrupt))
        stream.decision()
        seconds = time.monotonic() - begun
        counted = dict(zip(Counter, (counter_array(device.counters()) - before).tolist(), strict=True))
        clock = getattr(arguments, "clock", None) or device.identity.clock_mhz or CLOCK
        figures = _figures(session, counted, device, device.bytes_sent - sent, clock) | {"seconds": seconds}
        if arguments.save:
            state = State.read(device, rule)
            names = checkpoint.class_names
            Checkpoint(network, rule, state, settings=checkpoint.settings, class_names=names).save(arguments.save)
    if arguments.json:
        print_json(figures)
    else:
        _print(figures)
    return 0


def _items(source: str, session: "_Session", config: Config, interrupt: Interrupt) -> Items:
    """Time steps and changes of a source."""
    network, arguments = session.network, session.arguments

    def stop() -> bool:
        return interrupt.requested

    def live(blocks: Iterator[Records]) -> Items:
        steps = TimeSteps(network.inputs, arguments.bin_us, source)
        for records in blocks:
            yield from steps.feed(records)
        yield from steps.finish()
        session.late += steps.late

    if source == "-":
        return live(read_pipe(sys.stdin.buffer, "stdin", stop))
    if source.startswith("udp:"):
        return live(read_udp(parse_address(source), source, stop))
    if source.startswith("dv:"):
        return live(read_dv(parse_address(source), arguments.size, network.inputs, source, stop))
    if Path(source).suffix.lower() in SUFFIXES:
        return _recording(
            read_recording(Path(source), arguments.sensor, arguments.camera), source, network, arguments, stop
        )
    data = load_data(source, config.data_root).test
    if not isinstance(data, Events):
        raise OpzoError(f"{source} holds frames; a stream needs events in time")
    if data.inputs != network.inputs or data.input is not network.input:
        raise OpzoError(
            f"{source} has {data.inputs} inputs ({data.input.name.lower()}); network {network} takes "
            f"{network.inputs} ({network.input.name.lower()})"
        )
    return _recordings(data, stop, reset=arguments.reset)


def _recording(
    recording: Recording, name: str, network: Network, arguments: argparse.Namespace, stop: Callable[[], bool]
) -> Items:
    """One recording of an event camera, a block of time steps after the other."""
    binning = Binning(BLOCK, arguments.bin_us, 0, size=arguments.size, counts=network.input is Input.GRADED)
    shape = binning.shape(recording.width, recording.height)
    if prod(shape) != network.inputs:
        raise OpzoError(
            f"{name} has {' x '.join(map(str, shape))} addresses; network {network} has {network.inputs} inputs: "
            "reduce the sensor with --size WxH"
        )
    if arguments.reset:
        yield Change(Kind.RESET, 0)
    for begin in range(int(recording.t[0]), int(recording.t[-1]) + 1, BLOCK * arguments.bin_us):
        sample = replace(binning, start_us=begin).sample(recording)
        left = -(-(int(recording.t[-1]) + 1 - begin) // arguments.bin_us)
        for step in _time_steps(sample, min(BLOCK, left)):
            if stop():
                return
            yield step


def _time_steps(sample: EventSample, steps: int) -> Iterator[TimeStep]:
    for begin, end in pairwise(sample.offsets[: steps + 1].tolist()):
        addresses = sample.addresses[begin:end].astype(np.int64)
        values = np.ones(len(addresses), np.int64) if sample.values is None else sample.values[begin:end]
        yield TimeStep(addresses, values.astype(np.int64))


def _recordings(events: Events, stop: Callable[[], bool], *, reset: bool) -> Items:
    """Recordings one behind the other, each with its label."""
    for sample in events:
        if stop():
            return
        yield Change(Kind.LABEL, sample.label)
        if reset:
            yield Change(Kind.RESET, 0)
        yield from _time_steps(sample, events.steps)


class _Session:
    """One stream as the user sees it: what it was told, and how often its decisions were right."""

    def __init__(self, stream: Stream, arguments: argparse.Namespace, device: Device) -> None:
        assert device.network is not None
        self.stream, self.arguments, self.network = stream, arguments, device.network
        self.late = self.decided = self.correct = 0
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._shows = self._console.is_terminal and not arguments.quiet
        self._shown = self._begun = time.monotonic()

    def __enter__(self) -> "_Session":
        if self._shows:
            self._live.start()
        return self

    def __exit__(self, *reason: object) -> None:
        if self._shows:
            self._live.stop()

    def play(self, items: Items) -> None:
        """Put a source through the chip."""
        for item in items:
            if isinstance(item, TimeStep):
                graded = self.network.input is Input.GRADED
                self.stream.step(item.addresses, item.values if graded else None)
                self._show()
            elif item.kind is Kind.LABEL:
                self._judge()
                self.stream.label = None if item.value == NO_LABEL else item.value
                self.stream.restart_decision()
            elif item.kind is Kind.LEARN:
                self.stream.learning = bool(item.value)
            elif item.kind is Kind.RESET:
                self.stream.reset()
            else:
                break
        self._judge()

    def _judge(self) -> None:
        """Compare the decision on what came under the last label with that."""
        if self.stream.label is not None and self.stream.undecided:
            decision = self.stream.decision()
            self.decided += 1
            self.correct += decision.prediction == self.stream.label

    def _show(self) -> None:
        now = time.monotonic()
        if self._shows and now - self._shown > REPORT_SECONDS:
            self._shown = now
            stream, latest = self.stream, self.stream.latest
            label = "-" if stream.label is None else stream.label
            self._live.update(
                f"step {stream.steps:,}  {stream.steps / (now - self._begun):,.0f} steps/s  "
                f"{stream.events / max(1, stream.steps):.1f} events/step  decision {latest.prediction} "
                f"({latest.steps} steps)  label {label}  loss {stream.loss:.3f} bits  "
                f"learning {'on' if stream.learning else 'off'}  right {self.correct}/{self.decided}",
                refresh=True,
            )


def _figures(session: _Session, counted: dict[Counter, int], device: Device, sent: int, clock: float) -> dict[str, Any]:
    stream, steps = session.stream, max(1, session.stream.steps)
    cycles = counted[Counter.TRAIN_CYCLES] + counted[Counter.TEST_CYCLES]
    runs = counted[Counter.TRAIN_RUNS] + counted[Counter.TEST_RUNS]
    return {
        "device": device.name,
        "network": str(session.network),
        "steps": stream.steps,
        "events": stream.events,
        "events_per_step": stream.events / steps,
        "dropped": counted[Counter.DROPPED],
        "late": session.late,
        "runs": runs,
        "steps_learned": counted[Counter.TRAIN_RUNS] * steps / max(1, runs),
        "update_lag_steps": counted[Counter.STEPS] / max(1, runs),
        "answer_lag_steps": stream.lag,
        "synaptic_operations_per_step": counted[Counter.INTEGRATE] * device.limits.lanes / steps,
        "cycles_per_step": cycles / steps,
        "cycles": cycles_are(device.identity),
        "loss": stream.loss,
        "decisions": session.decided,
        "accuracy": session.correct / session.decided if session.decided else None,
        "decision": stream.latest.prediction,
    } | link_or_engine(sent, cycles, stream.events, clock)


def _print(figures: dict[str, Any]) -> None:
    print(
        f"{figures['steps']:,} time steps, {figures['events']:,} events ({figures['events_per_step']:.1f} a step), "
        f"{figures['dropped']} dropped, {figures['late']} late"
    )
    if figures["accuracy"] is not None:
        print(f"{figures['accuracy']:.2%} of {figures['decisions']} decisions right, loss {figures['loss']:.3f} bits")
    else:
        print(f"decision {figures['decision']}")
    print(
        f"updates follow after {figures['update_lag_steps']:.1f} steps, answers after at most "
        f"{figures['answer_lag_steps']}"
    )
    cycles = figures["cycles"]
    operations = f"{figures['synaptic_operations_per_step']:,.0f} synaptic operations"
    print(f"{operations} and {figures['cycles_per_step']:,.0f} {cycles} cycles per step")
    total = figures["cycles_per_step"] * figures["steps"]
    for name, text in times(figures, f"{total:,.0f} {cycles}").items():
        print(f"whole stream, {name}: {text}")
