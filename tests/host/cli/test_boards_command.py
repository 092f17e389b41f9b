"""opzo boards: the list, and what fits a network."""

import json
import re
import subprocess
import sys

import pytest
from command_line import error_of

from opzo.boards.fit import choose
from opzo.boards.registry import BOARDS, find_board
from opzo.boards.speed import training_speed
from opzo.host.cli.main import main
from opzo.spec.errors import OpzoError
from opzo.spec.network import Network

NET = "784-100-10"


def test_every_board_is_listed_in_a_pipe_within_80_columns() -> None:
    process = subprocess.run([sys.executable, "-m", "opzo", "boards"], capture_output=True, text=True, check=True)
    lines = process.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [board.name for board in BOARDS]
    assert max(map(len, lines)) <= 80
    (ulx3s,) = [line for line in lines if line.startswith("ulx3s-85f ")]
    assert ulx3s.split() == ["ulx3s-85f", "Radiona", "ULX3S", "85F", "83,640", "208", "60", "3", "open"]
    assert process.stderr == "opzo: not every board holds a chip; see what fits with: opzo boards --net 64-64-64-10\n"


def test_json_has_what_build_would_choose(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boards", "--net", NET, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    network = Network(NET)
    assert found["network"] == NET
    assert {facts["fits"] for facts in found["boards"]} == {True, False, None}
    for facts in found["boards"]:
        board = find_board(facts["name"])
        if facts["fits"] is False:
            with pytest.raises(OpzoError, match=re.escape(facts["shortage"])):
                choose(board, network)
            continue
        limits = choose(board, network)
        assert (facts["lanes"], facts["weight_bits"]) == (limits.lanes, limits.weight_bits)
        assert facts["speed"] == training_speed(network, limits.lanes, facts["clock_mhz"], facts["link_baud"])
        if facts["fits"]:
            assert all(facts["used"][name] <= facts["available"][name] for name in facts["used"])


def test_table_says_what_is_short_within_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boards", "--net", "6x32x32-16c3-p2-32c3-p2-64c3-p2-10"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "ulx3s-85f          does not fit: needs 458 block RAMs of 208 usable" in lines
    assert main(["boards", "--net", NET]) == 0
    (ulx3s,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("ulx3s-85f")]
    assert re.fullmatch(r"ulx3s-85f +4 +16 +[\d,]+ +\d+% +\d+ +\d+% +60 +[\d,]+ +[\d,]+", ulx3s)


def test_options_of_a_network_need_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--steps: these describe a network; give --net as well" in error_of(["boards", "--steps", "3"], capsys)
