"""Stream mode: labels, learning, decisions and resets at any time step, against runs cut by hand."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from opzo.host.cli import main
from opzo.host.config import Hyperparameters
from opzo.host.device import Device, open_device
from opzo.host.dv_network import read_dv
from opzo.host.events import Events, EventSample
from opzo.host.live import RECORD, Kind, TimeStep, TimeSteps, parse_address
from opzo.host.rates import rate_registers
from opzo.host.state import State
from opzo.host.stream import Stream
from opzo.host.trainer import Trainer
from opzo.sim.golden.core import GoldenCore
from opzo.sim.model_transport import ModelTransport
from opzo.spec.errors import OpzoError
from opzo.spec.events import Chunk
from opzo.spec.network import Input, Network, Rule
from opzo.spec.protocol import RunFlag
from opzo.spec.registers import TIMING_COUNTERS

NETWORK = Network((30, 12, 7, 3), 20, 0, Input.SPIKES)
HYPER = Hyperparameters(rate=200)


def time_steps(count: int, seed: int = 0, inputs: int = 30) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.flatnonzero(rng.random(inputs) < rng.choice((0.0, 0.1, 1.0))) for _ in range(count)]


def prepared(device: Device, network: Network = NETWORK) -> Device:
    device.configure(network, Rule.OPZO)
    State.initial(network, Rule.OPZO, 3, device.limits).write(device)
    device.write_registers(rate_registers(HYPER, 0, 1))
    return device


@pytest.fixture
def device() -> Iterator[Device]:
    with open_device("golden", NETWORK, 4) as opened:
        yield prepared(opened)


def core_of(device: Device) -> GoldenCore:
    transport = device._link._transport
    assert isinstance(transport, ModelTransport)
    return transport.core


def run_by_hand(runs: list[tuple[list[np.ndarray], int, RunFlag]]) -> GoldenCore:
    """A golden core after runs of (time steps, label, flags)."""
    with open_device("golden", NETWORK, 4) as other:
        core = core_of(prepared(other))
        for steps, label, flags in runs:
            core.run(Chunk.of_steps([step.tolist() for step in steps]), label, flags)
    return core


def assert_same(actual: GoldenCore, expected: GoldenCore) -> None:
    for name in ("memory", "membrane", "trace", "history", "input_trace", "input_history", "output_sums"):
        np.testing.assert_array_equal(getattr(actual, name), getattr(expected, name), err_msg=name)
    assert actual.lfsrs.states.tolist() == expected.lfsrs.states.tolist()
    assert actual.loss_sum == expected.loss_sum


def test_runs_end_where_label_or_learning_change(device: Device) -> None:
    steps = time_steps(24)
    stream = Stream(device, NETWORK)
    stream.learning, stream.label = True, 1
    for number, step in enumerate(steps):
        if number == 5:
            stream.label = 2
        if number == 8:
            stream.learning = False
        if number == 10:
            stream.learning = True
            stream.reset()
        stream.step(step)
    stream.decision()
    learn, anew = RunFlag.TRAIN, RunFlag.DECISION
    # 30 inputs: 32 events a run, so full steps make runs shorter; by hand the same cuts.
    expected: list[tuple[list[np.ndarray], int, RunFlag]] = []
    for begin, end, label, flags in (
        (0, 5, 1, learn | RunFlag.FRESH | anew),
        (5, 8, 2, learn | anew),
        (8, 10, 2, RunFlag(0)),
        (10, 24, 2, learn | RunFlag.FRESH),
    ):
        part: list[np.ndarray] = []
        for step in steps[begin:end]:
            if len(part) == 8 or sum(map(len, part)) + len(step) > 32:
                expected.append((part, label, flags))
                part, flags = [], flags & learn
            part.append(step)
        expected.append((part, label, flags))
    assert_same(core_of(device), run_by_hand(expected))
    assert (stream.steps, stream.events) == (24, sum(map(len, steps)))
    assert stream.lag <= 8 * 3


def test_cuts_do_not_matter_without_learning(device: Device) -> None:
    steps = time_steps(30)
    stream = Stream(device, NETWORK)
    for number, step in enumerate(steps):
        stream.step(step)
        if number % 3 == 1:
            stream.decision()
    decision = stream.decision()
    by_hand = run_by_hand(
        [([step], 0, RunFlag.FRESH if number == 0 else RunFlag(0)) for number, step in enumerate(steps)]
    )
    np.testing.assert_array_equal(core_of(device).membrane, by_hand.membrane)
    np.testing.assert_array_equal(core_of(device).output_sums, by_hand.output_sums)
    assert decision.steps == 30
    assert decision.prediction == by_hand.output_sums[:3].argmax()
    np.testing.assert_allclose(decision.outputs, by_hand.output_sums[:3] / 4096 / 30)


def test_unknown_label_is_not_learned_from(device: Device) -> None:
    before = State.read(device, Rule.OPZO)
    stream = Stream(device, NETWORK)
    stream.learning = True
    for step in time_steps(20):
        stream.step(step)
    stream.decision()
    for weights, old in zip(State.read(device, Rule.OPZO).weights, before.weights, strict=True):
        np.testing.assert_array_equal(weights, old)
    assert stream.loss == 0


def test_decision_begins_anew_after_the_window(device: Device) -> None:
    stream = Stream(device, NETWORK, window=6)
    for step in time_steps(16):
        stream.step(step)
    assert stream.decision().steps == 4
    stream.restart_decision()
    assert not stream.undecided
    stream.step(np.array([1]))
    assert stream.decision().steps == 1


def test_loss_is_the_mean_over_all_labelled_steps(device: Device) -> None:
    steps = time_steps(21)
    stream = Stream(device, NETWORK, window=9)
    total = 0
    core = run_by_hand([])
    stream.label = 1
    for number, step in enumerate(steps):
        stream.step(step)
        flags = RunFlag.DECISION | (RunFlag.FRESH if number == 0 else RunFlag(0))
        total += core.run(Chunk.of_steps([step.tolist()]), 1, flags).loss
    stream.label = None
    stream.step(steps[0])
    stream.decision()
    assert stream.loss == pytest.approx(total / 21 / 256)


def test_wrong_steps_and_labels_are_told(device: Device) -> None:
    stream = Stream(device, NETWORK)
    for addresses, message in (([3, 3], "do not ascend"), ([4, 2], "do not ascend"), ([30], "outside the 30 inputs")):
        with pytest.raises(OpzoError, match=message):
            stream.step(np.array(addresses))
    with pytest.raises(OpzoError, match="give values where they are graded only"):
        stream.step(np.array([1]), np.array([2]))
    with pytest.raises(OpzoError, match="label 3 is no class"):
        stream.label = 3
    with pytest.raises(OpzoError, match=r"window must be in 0\.\.4095"):
        Stream(device, NETWORK, window=4096)
    with pytest.raises(OpzoError, match="takes frames"):
        Stream(device, Network((30, 12, 3)))
    assert stream.decision().steps == 0


def test_graded_stream_has_a_run_a_step() -> None:
    network = Network((30, 12, 3), 20, 0, Input.GRADED)
    with open_device("golden", network, 4) as device:
        stream = Stream(prepared(device, network), network)
        stream.step(np.array([1, 4]), np.array([255, 3]))
        stream.step(np.array([2]), np.array([7]))
        with pytest.raises(OpzoError, match=r"a value in 1\.\.255"):
            stream.step(np.array([2]), np.array([0]))
        assert stream.decision().steps == 2
        assert core_of(device).input_history.reshape(-1)[2] == 7
        assert core_of(device).input_trace.reshape(-1)[[1, 4]].tolist() == [128, 2]


def records(*rows: tuple[int, int, int, int]) -> np.ndarray:
    return np.array([*rows], RECORD)


def test_records_become_time_steps() -> None:
    steps = TimeSteps(30, 1000, "test")
    start = 0xFFFFFFFF - 1500
    first = records((start, 3, 1, 0), (start + 10, 7, 1, 0), (start + 20, 3, 5, 0), (start, 2, 0, Kind.LABEL))
    # The clock wraps within these; 2,000 us later a step and an empty one have passed.
    second = records((1499, 1, 1, 0), (1498, 2, 1, 0), (0, 0, 1, Kind.LEARN), (1600, 0, 0, Kind.TIME))
    items = [*steps.feed(first), *steps.feed(second), *steps.finish()]
    shown = [
        (item.addresses.tolist(), item.values.tolist()) if isinstance(item, TimeStep) else (item.kind, item.value)
        for item in items
    ]
    assert shown == [(Kind.LABEL, 2), ([3, 7], [6, 1]), ([], []), ([], []), (Kind.LEARN, 1), ([1, 2], [1, 1])]
    assert steps.late == 1


def test_records_that_cannot_be_are_named() -> None:
    steps = TimeSteps(30, 1000, "udp:9")
    list(steps.feed(records((0, 1, 1, 0))))
    with pytest.raises(OpzoError, match=r"record 2 of udp:9 has address 30; the network has inputs 0\.\.29"):
        list(steps.feed(records((0, 1, 1, 0), (0, 30, 1, 0))))
    with pytest.raises(OpzoError, match=r"record 1 of udp:9 has kind 9; kinds are 0\.\.5"):
        list(steps.feed(records((0, 1, 1, 9))))
    with pytest.raises(OpzoError, match="must last 1 us or longer"):
        TimeSteps(30, 0, "x")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "network.npz"
    with open_device("fast", NETWORK, 4) as device:
        Trainer(device, NETWORK, HYPER).checkpoint({"device": "fast", "lanes": 4}).save(path)
    return path


def a_stream() -> np.ndarray:
    """Two labels with ten steps of 1 ms each."""
    rows = []
    for number in range(20):
        if number % 10 == 0:
            rows.append((number * 1000, number // 10, 0, Kind.LABEL))
        rows += [(number * 1000 + 1, int(address), 1, Kind.EVENT) for address in time_steps(20)[number]]
    return records(*rows, (20_000, 0, 0, Kind.END))


def test_command_takes_records_from_a_pipe(trained: Path) -> None:
    command = [sys.executable, "-m", "opzo", "stream", str(trained), "--bin-us", "1000", "--learn", "--json"]
    done = subprocess.run(command, input=a_stream().tobytes(), capture_output=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr.decode()
    figures = json.loads(done.stdout)
    assert (figures["steps"], figures["dropped"], figures["late"], figures["decisions"]) == (20, 0, 0, 2)
    assert figures["events"] == sum(map(len, time_steps(20)))
    assert figures["steps_learned"] == 20
    assert figures["update_lag_steps"] <= 8
    cut = subprocess.run(command, input=a_stream().tobytes()[:-3], capture_output=True, check=False)
    assert cut.returncode == 2
    assert b"opzo: error: stdin ends inside a record (5 of 8 bytes)" in cut.stderr


def test_command_takes_records_from_datagrams(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def send() -> None:
        data, size = a_stream(), 40
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            time.sleep(1)
            for begin in range(0, len(data), size):
                sender.sendto(data[begin : begin + size].tobytes(), ("127.0.0.1", port))
                time.sleep(0.001)

    thread = threading.Thread(target=send)
    thread.start()
    assert main(["stream", str(trained), f"udp:{port}", "--bin-us", "1000", "--json", "-q"]) == 0
    thread.join()
    assert json.loads(capsys.readouterr().out)["steps"] == 20


SENDER = """
import os, sys, time
import dv_processing as dv
writer = dv.io.NetworkWriter("127.0.0.1", int(sys.argv[1]), dv.io.Stream.EventStream(0, "events", "test", (10, 3)))
events = dv.EventStore()
for t, x, y, polarity in ((1 << 33, 2, 0, False), ((1 << 33) + 5, 0, 0, True), ((1 << 33) + 9, 9, 2, True)):
    events.push_back(t, x, y, polarity)
print("ready", flush=True)
while not writer.getClientCount():
    time.sleep(0.01)
time.sleep(0.2)
writer.writeEvents(events)
time.sleep(0.5)
os._exit(0)
"""


@pytest.mark.parametrize(
    ("reduced", "inputs", "addresses"), [(None, 60, [2, 30, 59]), ((5, 3), 30, [1, 15, 29]), (None, 7, [])]
)
def test_dv_camera_is_read_over_the_network(reduced: tuple[int, int] | None, inputs: int, addresses: list[int]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen([sys.executable, "-c", SENDER, str(port)], stdout=subprocess.PIPE) as sender:
        assert sender.stdout is not None
        assert sender.stdout.readline() == b"ready\n"
        end = time.monotonic() + 20
        source = read_dv(("127.0.0.1", port), reduced, inputs, "dv:x", lambda: time.monotonic() > end)
        if not addresses:
            with pytest.raises(OpzoError, match="the network has 7 inputs: reduce the sensor"):
                next(source)
            sender.kill()
            return
        seen = np.concatenate(list(source))
        assert time.monotonic() < end
    assert seen["address"].tolist() == addresses
    assert seen["t"].tolist() == [0, 5, 9]
    assert (seen["kind"] == Kind.EVENT).all()


def test_absent_dv_camera_is_told() -> None:
    with pytest.raises(OpzoError, match=r"no DV network output at dv:1 .*start it"):
        next(read_dv(("127.0.0.1", 1), None, 60, "dv:1", lambda: False))


def test_stream_saves_what_it_learned(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "after.npz"
    assert main(["stream", str(trained), str(out), "--json"]) == 2
    capsys.readouterr()
    command = [sys.executable, "-m", "opzo", "stream", str(trained), "--bin-us", "1000", "--learn", "--save", str(out)]
    done = subprocess.run(command, input=a_stream().tobytes(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert b"20 time steps" in done.stdout
    with np.load(trained) as before, np.load(out) as after:
        assert (before["weights_1"] != after["weights_1"]).any()


def test_addresses_to_listen_on() -> None:
    assert parse_address("udp:9000") == ("127.0.0.1", 9000)
    assert parse_address("udp:0.0.0.0:9000") == ("0.0.0.0", 9000)
    for text in ("udp:", "udp:x", "udp:70000"):
        with pytest.raises(OpzoError, match="write udp:PORT or udp:HOST:PORT"):
            parse_address(text)


@pytest.mark.parametrize("kind", [Input.SPIKES, Input.GRADED])
def test_chip_streams_like_the_golden_model(kind: Input) -> None:
    network = Network((30, 12, 7, 3), 20, 0, kind)
    seen = []
    for name in ("golden", "rtl"):
        with open_device(name, network, 4) as device:
            stream = Stream(prepared(device, network), network, window=9)
            rng = np.random.default_rng(7)
            decisions = []
            for addresses in time_steps(60, seed=5):
                dice = rng.random()
                if dice < 0.15:
                    stream.label = int(rng.integers(3)) if dice > 0.02 else None
                elif dice < 0.25:
                    stream.learning = not stream.learning
                elif dice < 0.3:
                    stream.reset()
                elif dice < 0.4:
                    decision = stream.decision()
                    decisions.append((decision.prediction, decision.steps, decision.loss, decision.outputs.tolist()))
                values = rng.integers(1, 256, len(addresses))
                stream.step(addresses, values if kind is Input.GRADED else None)
            stream.decision()
            state = State.read(device, Rule.OPZO)
            arrays = [*state.weights, *state.feedback, state.lfsr]
            arrays += [device.read_membranes(layer) for layer in range(2)]
            arrays += [device.read_traces(layer) for layer in range(2)]
            seen.append((decisions, [array.tolist() for array in arrays], stream.loss, stream.lag))
    assert seen[0] == seen[1]
    assert len(seen[0][0]) > 1


@pytest.mark.parametrize("steps", [1, 7, 8, 9, 16, 30, 100])
def test_chip_learns_event_samples_like_the_golden_model(steps: int) -> None:
    network = Network((30, 12, 7, 3), steps, 0, Input.SPIKES)
    samples = [EventSample(*sample_arrays(steps, seed), None, seed % 3) for seed in range(4)]
    data = Events.of(samples, (1, 5, 6))
    seen = []
    for name in ("golden", "rtl"):
        with open_device(name, network, 4) as device:
            results = [
                (result.prediction, result.loss, result.outputs.tolist())
                for train in (True, False)
                for result in prepared(device, network).run(data.samples(), train=train, outputs=True)
            ]
            state = State.read(device, Rule.OPZO)
            arrays = [array.tolist() for array in (*state.weights, *state.feedback, state.lfsr)]
            counters = {
                counter: count for counter, count in device.counters().items() if counter not in TIMING_COUNTERS
            }
            seen.append((results, arrays, counters))
    assert seen[0] == seen[1]


def sample_arrays(steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    lists = time_steps(steps, seed)
    return np.concatenate(lists).astype(np.uint16), np.cumsum([0, *map(len, lists)])
