"""Live sources: records from a pipe or in datagrams, DV cameras, and the command that streams them."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from opzo.host.cli.main import main
from opzo.host.driver.device import open_device
from opzo.host.stream.dv_network import read_dv
from opzo.host.stream.live_readers import parse_address
from opzo.host.stream.live_source import RECORD, RecordKind, TimeStep, TimeSteps
from opzo.host.training.config import Hyperparameters
from opzo.host.training.trainer import Trainer
from opzo.spec.errors import OpzoError
from opzo.spec.network import Network
from opzo.spec.rules import Input

NETWORK = Network((30, 12, 7, 3), 20, 0, Input.SPIKES)
HYPER = Hyperparameters(rate=200)
_RNG = np.random.default_rng(0)
STEPS = [np.flatnonzero(_RNG.random(30) < density) for density in _RNG.choice((0.0, 0.1, 1.0), 20)]


def records(*rows: tuple[int, int, int, int]) -> np.ndarray:
    return np.array([*rows], RECORD)


def test_records_become_time_steps() -> None:
    steps = TimeSteps(30, 1000, "test")
    start = 0xFFFFFFFF - 1500
    first = records((start, 3, 1, 0), (start + 10, 7, 1, 0), (start + 20, 3, 5, 0), (start, 2, 0, RecordKind.LABEL))
    # The clock wraps within these; 2,000 us later a step and an empty one have passed.
    second = records((1499, 1, 1, 0), (1498, 2, 1, 0), (0, 0, 1, RecordKind.LEARN), (1600, 0, 0, RecordKind.TIME))
    items = [*steps.feed(first), *steps.feed(second), *steps.finish()]
    shown = [
        (item.addresses.tolist(), item.values.tolist()) if isinstance(item, TimeStep) else (item.kind, item.value)
        for item in items
    ]
    assert shown == [
        (RecordKind.LABEL, 2),
        ([3, 7], [6, 1]),
        ([], []),
        ([], []),
        (RecordKind.LEARN, 1),
        ([1, 2], [1, 1]),
    ]
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
            rows.append((number * 1000, number // 10, 0, RecordKind.LABEL))
        rows += [(number * 1000 + 1, int(address), 1, RecordKind.EVENT) for address in STEPS[number]]
    return records(*rows, (20_000, 0, 0, RecordKind.END))


def test_command_takes_records_from_a_pipe(trained: Path) -> None:
    command = [sys.executable, "-m", "opzo", "stream", str(trained), "--bin-us", "1000", "--learn", "--json", "-"]
    done = subprocess.run(command, input=a_stream().tobytes(), capture_output=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr.decode()
    figures = json.loads(done.stdout)
    assert (figures["steps"], figures["dropped"], figures["late"], figures["decisions"]) == (20, 0, 0, 2)
    assert figures["events"] == sum(map(len, STEPS))
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
            sender.connect(("127.0.0.1", port))
            # Datagrams before the command listens are lost; the second send after one of them is refused.
            end = time.monotonic() + 60
            while time.monotonic() < end:
                try:
                    for _ in range(2):
                        sender.send(records((0, 0, 0, RecordKind.TIME)).tobytes())
                        time.sleep(0.01)
                    break
                except ConnectionRefusedError:
                    time.sleep(0.01)
            for begin in range(0, len(data), size):
                sender.send(data[begin : begin + size].tobytes())
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
        source = read_dv(
            ("127.0.0.1", port),
            reduced,
            Network((inputs, 4, 2), input="spikes"),
            "dv:x",
            lambda: time.monotonic() > end,
        )
        if not addresses:
            with pytest.raises(OpzoError, match="the network has 7 inputs: reduce the sensor"):
                next(source)
            sender.kill()
            return
        seen = np.concatenate(list(source))
        assert time.monotonic() < end
    assert seen["address"].tolist() == addresses
    assert seen["t"].tolist() == [0, 5, 9]
    assert (seen["kind"] == RecordKind.EVENT).all()


def test_absent_dv_camera_is_told() -> None:
    with pytest.raises(OpzoError, match=r"no DV network output at dv:1 .*start it"):
        next(read_dv(("127.0.0.1", 1), None, Network((60, 4, 2), input="spikes"), "dv:1", lambda: False))


def test_stream_saves_what_it_learned(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "after.npz"
    assert main(["stream", str(trained), str(out), "--json"]) == 2
    capsys.readouterr()
    command = [
        sys.executable,
        "-m",
        "opzo",
        "stream",
        str(trained),
        "-",
        "--bin-us",
        "1000",
        "--learn",
        "--save",
        str(out),
    ]
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
