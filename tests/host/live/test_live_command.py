import json
import signal
from pathlib import Path

import numpy as np
import pytest
from command_line import error_of
from live_page import SEVEN, live
from websockets.sync.client import connect

from opzo.host.training.checkpoint import Checkpoint

SMALL = ["--device", "fast", "--net", "64-16-10", "--lanes", "4", "--epochs", "1"]


def test_teaches_a_run_and_saves_at_ctrl_c(tmp_path: Path) -> None:
    with live([*SMALL, "--out", "taught.npz"], tmp_path) as (process, address):
        origin = address.split("/")[2]
        socket = f"ws://{origin}/{address.split('/')[3]}/socket"
        with connect(socket, additional_headers={"origin": f"http://{origin}"}, max_size=None) as page:
            kinds = []
            while "done" not in kinds:
                message = json.loads(page.recv(timeout=60))
                kinds.append(message.get("state", message["kind"]))
            page.send(json.dumps({"action": "teach", "strokes": SEVEN, "label": 1, "rate": 60}))
            while message["kind"] != "answer":
                message = json.loads(page.recv(timeout=60))
            samples = message["taught"]["samples"]
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        assert process.stderr is not None
        assert "saved; test it with: opzo eval taught.npz" in process.stderr.read()
    checkpoint = Checkpoint.load(tmp_path / "taught.npz")
    assert (checkpoint.epoch, checkpoint.state.samples) == (1, 1438 + samples)
    # It is itself a run that can be looked at.
    with live(["taught.npz", "--device", "golden", "--out", "again.npz"], tmp_path) as (process, address):
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    again = Checkpoint.load(tmp_path / "again.npz")
    for ours, theirs in zip(again.state.weights, checkpoint.state.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nowhere"], "nowhere"),
        (["--data", "saccade-digits", "--device", "golden"], "saccade-digits has events; the live page draws images"),
        (["--port", "70000"], "--port"),
        (["--out", "taught.txt"], "ends in .npz"),
        ([*SMALL, "--host", "999.1.1.1"], "cannot listen on 999.1.1.1"),
    ],
)
def test_refuses(
    arguments: list[str], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert text in error_of(["live", *arguments], capsys)


def test_a_run_keeps_its_settings(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = error_of(["live", str(run), "--net", "9-8-3", "--seed", "2"], capsys)
    assert "leave --net, --seed out" in text
    # Its images have no height and width.
    assert "without height and width" in error_of(["live", str(run)], capsys)
