"""Readers of texts: settings, sweeps, metrics, figures, manifests of cached builds, folders of builds, requests."""

import gzip
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from fuzzing.mutated import damaged
from fuzzing.reader import Read, Reader
from fuzzing.structured import either, in_json, in_lines, in_words
from opzo.host.data.data_sets import load_data
from opzo.host.driver.state import State
from opzo.host.driver.statistics import Tally
from opzo.host.live.drawing import DrawingBoard
from opzo.host.live.requests import parse_request
from opzo.host.report.curve import curve_png
from opzo.host.report.metrics_table import csv_text, flat
from opzo.host.training import sweep
from opzo.host.training.checkpoint import Checkpoint, made_by
from opzo.host.training.config import Config, checked, read_toml
from opzo.host.training.old_names import renamed
from opzo.host.training.run_folder import CHECKPOINT, CONFIG, FIGURES, METRICS, RunFolder
from opzo.sim.gates.ecp5 import ECP5Cells
from opzo.sim.gates.folder import CONFIGURATION, NETLISTS, BuildFolder
from opzo.spec.network import Network
from opzo.spec.protocol import Identity
from opzo.spec.rules import Rule
from opzo.system.cache import MANIFEST, _complete, cached
from opzo.system.text_files import encoded

Good = tuple[Sequence[bytes], Read]
NETWORK = Network("6-4-3")
TEXT = either(damaged, in_words, in_words)
JSON = either(damaged, in_words, in_json, in_json, in_json)
LINES = either(damaged, in_words, in_lines, in_lines, in_lines)


def _config(folder: Path) -> Good:
    """Settings that a user gives to `opzo train`."""
    path = folder / "a.toml"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        source = str(path)
        Config.of(checked(renamed(read_toml(path), source), source), source).toml()

    text = '# a run\nnet = "64-32-10"\nrate = 120\nalpha = 0.1\nkappa = 1_0.5\nleak = \'1/2\'\ndata = """digits"""\n'
    return (Config().toml().encode(), text.encode()), read


def _sweep(folder: Path) -> Good:
    path = folder / "a.toml"
    # The data are the same for all inputs.
    sweep.load_data = lru_cache(load_data)  # type: ignore[attr-defined]

    def read(content: bytes) -> None:
        path.write_bytes(content)
        for run in sweep.plan(path, folder / "out", 20):
            run.command()

    text = (
        '[settings]\ndata = "digits"\nepochs = 2\n[sweep]\nrate = [100, 140]\nseed = [0, 1]\nrule = ["opzo", "dfa"]\n'
    )
    return (text.encode(), b'settings = {net = "64-16-10"}\nsweep.leak = ["1/2", "3/4"]\n'), read


def _run_folder(folder: Path) -> Checkpoint:
    """A folder with the checkpoint and settings of a run."""
    settings = {"net": str(NETWORK), "data": "digits", "device": "fast", "lanes": 4}
    state = State.initial(NETWORK, Rule.OPZO, 0, NETWORK.limits(4))
    checkpoint = Checkpoint(NETWORK, Rule.OPZO, state, epoch=3, settings=settings)
    checkpoint.save(folder / CHECKPOINT)
    (folder / CONFIG).write_text(Config(net=str(NETWORK), lanes=4).toml())
    return checkpoint


def _rows() -> list[dict[str, object]]:
    part = Tally(samples=5, correct=4, loss=9, sent=7).figures(NETWORK, Identity.of(NETWORK.limits(4)))
    return [{"epoch": epoch, "train": part, "test": part, "samples_per_second": 9.5} for epoch in (1, 2, 3)]


def _metrics(folder: Path, *, draw: bool) -> Good:
    """Metrics of the epochs, as a run resumes with them; with ``draw`` as a report shows them."""
    like = Tally().figures(NETWORK, Identity.of(NETWORK.limits(4)))

    def read(content: bytes) -> None:
        (folder / METRICS).write_bytes(content)
        # `RunFolder.read` without the checkpoint, which is the same for all inputs.
        run = RunFolder(folder)
        run.rows = run._stored_rows()
        run.check_rows(like)
        encoded(csv_text([flat(row, "_") for row in run.rows]))
        if draw and run.rows:
            curve_png(run.rows, "a run")

    return ["".join(json.dumps(row) + "\n" for row in _rows()).encode()], read


def _figures(folder: Path) -> Good:
    """Final figures of a run, as a sweep merges them."""
    _run_folder(folder)
    config = Config(net=str(NETWORK), lanes=4)
    planned = sweep.PlannedRun({"seed": 0, "rate": 140}, config, folder, (3, 4))
    figures = dict.fromkeys(sweep.FIGURE_COLUMNS, 0.5) | {"firing_rates": [0.1], "cycles": "modelled", "seconds": 3}
    figures |= {"data_digest": 3, "test_digest": 4, "made_by": made_by()}

    def read(content: bytes) -> None:
        (folder / FIGURES).write_bytes(content)
        planned.differences()
        found = planned.figures()
        rows = sweep.table([(planned, found or figures), (planned, figures)])
        encoded(csv_text(rows))
        sweep.groups(rows, ["rate"])

    return [json.dumps(figures).encode()], read


def _manifest(folder: Path) -> Good:
    """Manifest of a build in the cache: the build is used, or done again."""

    def build(work: Path) -> None:
        (work / "a").write_bytes(b"built")
        (work / "b").mkdir()
        (work / "b" / "c").write_bytes(b"too")

    place = cached(folder / "cache" / "build", build)
    good = (place / MANIFEST).read_bytes()

    def read(content: bytes) -> None:
        (place / MANIFEST).write_bytes(content)
        _complete(place)

    return [good], read


def _cell(kind: str, parameters: dict[str, str], **nets: object) -> dict[str, object]:
    connections = {port: [net] for port, net in nets.items()}
    return {
        "type": kind,
        "parameters": parameters,
        "attributes": {"LOC": nets.pop("LOC", "")},
        "connections": connections,
    }


def _netlist() -> dict[str, object]:
    """A clock from an oscillator through a PLL, and a register with its logic between two pins."""
    pll = {"CLKI_DIV": "1", "CLKFB_DIV": "10", "CLKOP_DIV": "100", "FEEDBK_PATH": "CLKOP", "CLKOP_ENABLE": "ENABLED"}
    ports = {
        name: {"direction": "input" if name in ("clk", "rx") else "output", "bits": [bit]}
        for name, bit in PORTS.items()
    }
    cells = {
        "pll": _cell("EHXPLLL", pll, CLKI=2, CLKFB=10, CLKOP=10, LOCK=11, RST="0"),
        "lut": _cell("LUT4", {"INIT": "1001011001101001"}, A=3, B=11, C="0", D="x", Z=12),
        "ff": _cell("TRELLIS_FF", {"REGSET": "SET", "CEMUX": "1", "SRMODE": "ASYNC"}, CLK=10, DI=12, Q=4, LSR=11),
        "carry": _cell("CCU2C", {"INIT0": "0110", "INIT1": "1010", "INJECT1_0": "NO"}, CIN="0", A0=3, B0=4, S0=5, S1=6),
        "ram": _cell("DP16KD", {"DATA_WIDTH_A": "1", "INITVAL_00": "0" * 320}, CLKA=10, CEA="1", ADA0=4, DOA0=7),
        "mux": _cell("PFUMX", {}, BLUT=3, ALUT=4, C0=11, Z=13),
        "scope": _cell("$scopeinfo", {}),
    }
    return {"modules": {"opzo": {"ports": ports, "cells": cells}}}


PORTS = {"clk": 2, "rx": 3, "tx": 4, "led": 5, "led2": 6, "led3": 7}
PINS = {"oscillator": "P3", "rx": "A1", "tx": "A2", "link": "B1", "training": "B2", "error": "B3"}


def write_build(folder: Path) -> dict[str, bytes]:
    """Write the files of a build that its netlist is read from; contents by name."""
    configuration = {
        "family": "ecp5",
        "board": "a-board",
        "oscillator_mhz": 25.0,
        "baud": 3_000_000,
        "pins": {name: {"site": site, "inverted": False} for name, site in PINS.items()},
    }
    located = zip(PORTS, PINS.values(), strict=True)
    contents = {
        CONFIGURATION: json.dumps(configuration).encode(),
        ECP5Cells.constraints: "".join(f'LOCATE COMP "{port}" SITE "{site}";\n' for port, site in located).encode(),
        NETLISTS[False]: gzip.compress(json.dumps(_netlist()).encode()),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return contents


def _build_folder(folder: Path, part: str, *, plain: bool = False) -> Good:
    """Folder of `opzo build`, whose netlist is made into Verilog; its file ``part`` is the input, the others are good.

    With ``plain`` the input is packed by gzip before it is written.
    """
    good = write_build(folder)[part]

    def read(content: bytes) -> None:
        (folder / part).write_bytes(gzip.compress(content, 1) if plain else content)
        build = BuildFolder(str(folder))
        netlist = build.netlist()
        netlist.pll()
        netlist.verilog(build.ports(netlist))

    return [gzip.decompress(good) if plain else good], read


def _request(folder: Path) -> Good:
    """A message of the live page, and the image of its drawing."""
    board = DrawingBoard(load_data("digits").train, "digits")
    requests = (
        {"action": "teach", "strokes": [[[0.1, 0.2], [0.5, 0.9]], [[1, 0]]], "label": 3, "rate": 40},
        {"action": "classify", "strokes": [[[0.5, 0.5]]]},
        {"action": "pause"},
    )

    def read(content: bytes) -> None:
        request = parse_request(content.decode("utf-8", "replace"), 10)
        if request.strokes:
            board.frames(request.strokes, request.label)

    return [json.dumps(request).encode() for request in requests], read


READERS = (
    Reader("config", _config, 12_000, TEXT),
    Reader("sweep", _sweep, 6_000, TEXT),
    Reader("metrics", lambda folder: _metrics(folder, draw=False), 8_000, LINES),
    Reader("report", lambda folder: _metrics(folder, draw=True), 400, LINES, guided=False),
    Reader("figures", _figures, 4_000, JSON),
    Reader("manifest", _manifest, 12_000, JSON),
    Reader("netlist", lambda folder: _build_folder(folder, NETLISTS[False], plain=True), 15_000, JSON),
    Reader("netlist-gz", lambda folder: _build_folder(folder, NETLISTS[False]), 8_000),
    Reader("build", lambda folder: _build_folder(folder, CONFIGURATION), 10_000, JSON),
    Reader("constraints", lambda folder: _build_folder(folder, ECP5Cells.constraints), 6_000, TEXT),
    Reader("live-request", _request, 15_000, JSON),
)
