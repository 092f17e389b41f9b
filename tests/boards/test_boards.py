import json
import re
from pathlib import Path
from unittest.mock import create_autospec

import pytest
from loopback import Loopback

from opzo.boards import top
from opzo.boards.build import Plan, fix_cells, prepare
from opzo.boards.families.flow import DESIGN, OpenFlow
from opzo.boards.families.flows import flow_of
from opzo.boards.fit import choose, usable
from opzo.boards.registry import BOARDS, find_board
from opzo.host.cli.main import main
from opzo.hw.lib.uart import LEAST_CYCLES
from opzo.spec.errors import OpzoError
from opzo.spec.limits import Limits
from opzo.spec.network import Network

TINY = Limits(lanes=4, rows=512, inputs=16, words=4, classes=4)


@pytest.fixture
def loopback(monkeypatch):
    monkeypatch.setattr(top, "Top", Loopback)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_every_board_has_pins_for_clock_uart_and_lights(board, loopback, tmp_path):
    plan = Plan.of(board, TINY)
    prepare(plan, tmp_path, lambda stage: None)
    constraints = "".join(
        path.read_text() for suffix in ("lpf", "pcf", "cst", "xdc", "qsf") for path in tmp_path.glob(f"*.{suffix}")
    )
    for pin in (
        "uart_0__rx__io",
        "uart_0__tx__io",
        *{light.resource for light in (board.link, board.training, board.error)},
    ):
        assert pin in constraints
    assert plan.pll.mhz == board.core_mhz
    assert plan.baud * LEAST_CYCLES <= plan.pll.mhz * 1e6
    # A rate that the bridge makes exactly: its clock through a whole number.
    assert plan.baud == board.baud // round(board.baud / plan.baud)


@pytest.mark.parametrize("board", [board for board in BOARDS if board.family.open], ids=lambda board: board.name)
def test_every_open_board_has_three_tool_runs(board, loopback):
    flow, plan = flow_of(board), Plan.of(board, TINY)
    assert isinstance(flow, OpenFlow)
    files = board.platform().prepare(
        top.BoardTop(board, flow, TINY, plan.pll, plan.baud), DESIGN, **flow.prepare_options
    )
    steps = flow.steps(files, plan.pll, 7, True)
    assert tuple(step.tool for step in steps) == flow.tools
    route = " ".join(steps[1].arguments)
    assert f"--freq {plan.pll.mhz:.4f}" in route
    assert "--seed 7" in route
    assert "--report" in route


def test_a_crowded_ecp5_is_placed_by_the_placer_that_packs_it(loopback):
    board = find_board("ulx3s-85f")
    assert usable(board)["luts"] == int(0.8 * board.device.luts)
    small, large, few_block_rams, block_rams = (
        Plan.of(board, choose(board, Network.parse(network), lanes))
        for network, lanes in (
            ("784-128-128-10", 32),
            ("784-128-128-10", 64),
            ("1x8x8-8c3-p2-10", 4),
            ("1x28x28-8c3-p2-16c3-p2-10", 4),
        )
    )
    assert [plan.full for plan in (small, large, few_block_rams, block_rams)] == [False, True, False, False]
    assert [plan.crowded for plan in (small, large, few_block_rams, block_rams)] == [False, True, False, True]
    flow = flow_of(board)
    assert isinstance(flow, OpenFlow)
    files = board.platform().prepare(
        top.BoardTop(board, flow, TINY, large.pll, large.baud), DESIGN, **flow.prepare_options
    )
    for plan, called in ((large, "floorplan"), (few_block_rams, None), (block_rams, "fix_block_rams")):
        fixing = create_autospec(OpenFlow)
        fix_cells(plan, fixing, Path("opzo.json"))
        assert [name for name, *_ in fixing.method_calls] == [called] * (called is not None)
    for plan in (large, few_block_rams):
        route = " ".join(flow.steps(files, plan.pll, 1, plan.crowded)[1].arguments)
        assert ("--placer static" in route) == plan.crowded


def test_oscillators_are_those_of_amaranth_boards():
    for board in BOARDS:
        assert board.platform().default_clk_frequency == board.clock_mhz * 1e6, board.name


def test_names_are_unique_and_unknown_ones_list_them():
    names = [board.name for board in BOARDS]
    assert len(set(names)) == len(names)
    assert find_board("icepi-zero").title == "Icepi Zero 1.3"
    with pytest.raises(OpzoError, match=r"no board 'icepi-zera' \(did you mean 'icepi-zero'\?\); choose ulx3s-85f, .*"):
        find_board("icepi-zera")


@pytest.mark.parametrize(
    ("board", "script", "words"),
    [
        ("arty-a7-35", "opzo.tcl", ["PLLE2_BASE", "xc7a35ti"]),
        ("de10-nano", "opzo.qsf", ["altera_pll", "5CSEBA6U23I7"]),
    ],
)
def test_prepare_writes_a_whole_project(board, script, words, tmp_path, capsys):
    out = tmp_path / "project"
    arguments = ["--net", "16-8-4", "--lanes", "4", "--prepare", "--out", str(out), "--json"]
    assert main(["build", "--board", board, *arguments]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["lanes"] == 4
    assert result["limits"]["inputs"] == 16
    assert (out / script).is_file()
    assert (out / result["script"]).is_file()
    verilog = (out / "opzo.v").read_text()
    # The whole machine, not only a top.
    assert len(re.findall(r"^module ", verilog, re.MULTILINE)) > 40
    text = verilog + (out / script).read_text()
    assert all(word in text for word in words)
    assert json.loads((out / "configuration.json").read_text())["board"] == board


def test_vendor_board_without_prepare_says_so(capsys):
    assert main(["build", "--board", "nexys4ddr"]) == 2
    assert "opzo build --board nexys4ddr --prepare writes a project" in capsys.readouterr().err


def test_tang_primer_is_built_for_the_family_on_the_board():
    board = find_board("tang-primer-20k")
    platform = board.platform()
    assert platform.family == "GW2A-18"
    flow = flow_of(board)
    files = platform.prepare(
        top.BoardTop(board, flow, TINY, Plan.of(board, TINY).pll, board.baud), DESIGN, **flow.prepare_options
    )
    commands = json.loads(files.files[f"build_{DESIGN}.json"])["commands"]
    assert not [argument for command in commands for argument in command if "GW2A-18C" in argument]
    assert commands[2][commands[2].index("-d") + 1] == "GW2A-18"
    assert "family=GW2A-18" in flow.steps(files, Plan.of(board, TINY).pll, 1, False)[1].arguments
