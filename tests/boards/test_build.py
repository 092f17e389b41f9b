import gzip
import json
from dataclasses import replace

import pytest

from opzo.boards import build as build_module
from opzo.boards.area import AREAS
from opzo.boards.board import Family, Resources
from opzo.boards.build import RESULT, critical_path
from opzo.boards.families.ecp5 import ECP5
from opzo.boards.families.gowin import Gowin
from opzo.boards.fit import shortage, tight_limits
from opzo.boards.registry import BOARDS, find_board
from opzo.boards.speed import _Work, training_cycles, training_speed
from opzo.host.cli.main import main
from opzo.spec.geometry import windows
from opzo.spec.limits import GROUPS, Limits
from opzo.spec.network import Network

NET = ["--net", "16-8-4", "--lanes", "4"]
REPORT = {
    "fmax": {"$glbnet$clk": {"achieved": 65.634, "constraint": 60.0}},
    "utilization": {
        "TRELLIS_COMB": {"available": 83640, "used": 15478},
        "TRELLIS_FF": {"available": 83640, "used": 9287},
        "DP16KD": {"available": 208, "used": 5},
        "MULT18X18D": {"available": 156, "used": 6},
    },
    "critical_paths": [
        {
            "from": "<async>",
            "to": "posedge $glbnet$clk",
            "path": [{"type": "routing", "delay": 99.0, "to": {"cell": "pin"}}],
        },
        {
            "from": "posedge $glbnet$clk",
            "to": "posedge $glbnet$clk",
            "path": [
                {"type": "clk-to-q", "delay": 0.52, "to": {"cell": "a"}},
                {"type": "routing", "delay": 1.4, "to": {"cell": "b"}},
            ],
        },
    ],
}
CELLS = {"LUT4": 9680, "CCU2C": 1676, "TRELLIS_DPR16X4": 261, "TRELLIS_FF": 9287, "DP16KD": 5, "MULT18X18D": 6}


class FakeTools:
    """Tools that write what the real ones would, in no time."""

    def __init__(self, achieved):
        self.runs = []
        self.report = json.loads(json.dumps(REPORT))
        self.report["fmax"]["$glbnet$clk"]["achieved"] = achieved

    def find(self, name):
        return name, f"{name} 1.0"

    def run(self, step, folder):
        self.runs.append(step.tool)
        assert (folder / "opzo.il").stat().st_size > 100_000
        (folder / f"{step.tool}.log").write_text("fine")
        (folder / "opzo.report.json").write_text(json.dumps(self.report))
        (folder / "opzo.cells.json").write_text(json.dumps({"design": {"num_cells_by_type": CELLS}}))
        (folder / "opzo.v").write_text("module opzo; endmodule")
        for name in ("opzo.json", "opzo.routed.json"):
            (folder / name).write_text('{"modules": {}}')
        (folder / "opzo.bit").write_bytes(b"bits")


@pytest.fixture
def tools(monkeypatch, tmp_path):
    monkeypatch.setenv("OPZO_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def use(achieved=65.634):
        fake = FakeTools(achieved)
        monkeypatch.setattr(build_module, "find_tool", fake.find)
        monkeypatch.setattr(build_module, "run_step", fake.run)
        return fake

    return use


def test_a_build_that_stops_in_the_middle_of_its_folder_leaves_whole_files_and_no_result(tools, tmp_path, monkeypatch):
    tools()
    arguments = ["build", "--board", "ulx3s-85f", *NET, "--clock", "60", "--quiet", "--json"]
    assert main(arguments) == 0
    folder = tmp_path / "build" / "ulx3s-85f"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write, written = build_module.write_atomically, []

    def stop(path, data):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(path.name)
        write(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(build_module, "write_atomically", stop)
        assert main(arguments) == 130
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        name: content for name, content in before.items() if name != RESULT
    }
    assert main(arguments) == 0
    assert (folder / RESULT).read_bytes() == before[RESULT]


def test_build_leaves_everything_in_its_folder_and_the_same_again_comes_from_the_cache(tools, tmp_path, capsys):
    fake = tools()
    arguments = ["build", "--board", "ulx3s-85f", *NET, "--clock", "60", "--json"]
    assert main(arguments) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    stages = ["gateware", "synthesis", "place and route", "bitstream"]
    first, *others = captured.err.splitlines()
    assert first.startswith("opzo: about 2 minutes with 4 lanes and native tools, as estimated from builds on an idle")
    # With --json, too, the next command is named on stderr.
    assert others == [
        *(f"opzo: {stage}" for stage in stages),
        "opzo: program the board with: opzo flash --board ulx3s-85f",
    ]
    assert fake.runs == ["yosys", "nextpnr-ecp5", "ecppack"]
    folder = tmp_path / "build" / "ulx3s-85f"
    assert result["bitstream"] == "build/ulx3s-85f/ulx3s-85f.bit"
    assert (folder / "ulx3s-85f.bit").read_bytes() == b"bits"
    assert {path.name for path in folder.iterdir()} == {
        *("ulx3s-85f.bit", "configuration.json", "result.json", "opzo.v", "opzo.lpf"),
        *("opzo.report.json", "opzo.cells.json", "yosys.log", "nextpnr-ecp5.log", "ecppack.log"),
        *("opzo.json.gz", "opzo.routed.json.gz"),
    }
    assert gzip.decompress((folder / "opzo.routed.json.gz").read_bytes()) == b'{"modules": {}}'
    configuration = json.loads((folder / "configuration.json").read_text())
    assert Limits(**configuration["limits"]) == Limits(lanes=4, rows=512, inputs=16, words=2, classes=4)
    assert configuration["clock_mhz"] == 60
    assert configuration["pins"]["rx"] == {"site": "M1", "inverted": False}
    assert result["clock_mhz"] == 65.63
    assert result["clock_required_mhz"] == 60
    assert result["used"]["luts"] == 15478
    assert result["available"]["luts"] == 83640
    assert result["seconds"] > 0
    assert result["network"] == result["speed"]["network"] == "16-8-4"
    assert json.loads((folder / RESULT).read_text()) == result
    assert main([*arguments, "--out", "elsewhere"]) == 0
    assert len(fake.runs) == 3
    captured = capsys.readouterr()
    assert "about" not in captured.err
    again = json.loads(captured.out)
    assert again == result | {"bitstream": "elsewhere/ulx3s-85f.bit"}
    # The same chip serves another network; the figures are that one's.
    assert main([*arguments, "--net", "16-5-4"]) == 0
    assert len(fake.runs) == 3
    other = json.loads(capsys.readouterr().out)
    assert other["network"] == other["speed"]["network"] == "16-5-4"
    assert other["speed"]["link_samples_per_second"] == result["speed"]["link_samples_per_second"]
    # Another seed is another build.
    assert main([*arguments, "--seed", "2"]) == 0
    assert len(fake.runs) == 6
    capsys.readouterr()
    # Fewer time steps are another chip.
    assert main([*arguments, "--steps", "4"]) == 0
    assert json.loads(capsys.readouterr().out)["limits"]["steps"] == 4
    assert len(fake.runs) == 9


def test_table(tools, capsys):
    tools()
    assert main(["build", "--board", "ulx3s-85f", *NET, "--clock", "60", "-q"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    lines = captured.out.splitlines()
    assert lines[0] == "build/ulx3s-85f/ulx3s-85f.bit: 16-8-4, 4 lanes, 16-bit weights, 512 rows, 3,000,000 baud"
    assert lines[2].split() == ["LUTs", "15,478", "83,640", "19%"]
    assert lines[-2].split() == ["clock", "(MHz)", "65.6", "60.0"]
    assert lines[-1] == "training samples/s of 16-8-4, estimated: 15,688 (engine 209,172, link 15,688)"
    for out, file in (([], ""), (["--out", "my builds"], " 'my builds/ulx3s-85f.bit'")):
        assert main(["build", "--board", "ulx3s-85f", *NET, "--clock", "60", *out]) == 0
        last = capsys.readouterr().err.splitlines()[-1]
        assert last == f"opzo: program the board with: opzo flash --board ulx3s-85f{file}"


def test_missed_clock_fails_and_names_one_that_passes(tools, capsys):
    tools(achieved=57.3)
    assert main(["build", "--board", "ulx3s-85f", *NET, "--clock", "60", "--json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["timing_met"] is False
    assert captured.err.splitlines()[-1] == (
        "opzo: error: ulx3s-85f reaches 57.3 MHz, 60 required; the highest clock that passes is --clock 57.1429, "
        "or try another --seed"
    )


def test_failed_tool_leaves_no_build_behind(tools, tmp_path, capsys, monkeypatch):
    from opzo.spec.errors import ToolError

    fake = tools()

    def fail(step, folder):
        raise ToolError("synthesis: yosys failed with exit code 1")

    monkeypatch.setattr(build_module, "run_step", fail)
    arguments = ["build", "--board", "ulx3s-85f", *NET]
    assert main(arguments) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "opzo: error: synthesis: yosys failed with exit code 1"
    assert not (tmp_path / "build").exists()
    monkeypatch.setattr(build_module, "run_step", fake.run)
    assert main([*arguments, "--clock", "60"]) == 0
    assert len(fake.runs) == 3


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--seed", "-1", "must be in 0..2147483647"),
        ("--seed", "2147483648", "must be in 0..2147483647"),
        ("--lanes", "0", "must be one of 4, 8, 16, 32, 64, 128, or max, not '0'"),
        ("--lanes", "12", "must be one of 4, 8"),
        ("--clock", "nan", "must be in 0.001..100000"),
        ("--clock", "0.01", "a clock of 0.01 MHz cannot be generated"),
        ("--clock", "99999", "a clock of 99999 MHz cannot be generated"),
        ("--steps", "0", "--steps must be in 1.."),
        ("--steps", "9", "needs 9 time steps"),
        ("--out", "/dev/null", "cannot write into /dev/null"),
        ("--board", "ulx3s-58f", "did you mean 'ulx3s-85f'?"),
    ],
)
def test_values_that_cannot_be_are_refused_before_the_work(option, value, message, tools, capsys):
    fake = tools()
    assert main(["build", "--board", "ulx3s-85f", *NET, option, value]) == 2
    assert message in capsys.readouterr().err
    assert not fake.runs


def test_output_that_cannot_be_written_is_named(tools, tmp_path, capsys):
    tools()
    (tmp_path / "out" / "ulx3s-85f.bit").mkdir(parents=True)
    assert main(["build", "--board", "ulx3s-85f", *NET, "--out", "out"]) == 2
    assert "opzo: error: cannot write out/ulx3s-85f.bit: it is not a file; give another name" in capsys.readouterr().err


def test_reports_of_each_family():
    assert ECP5().used(REPORT, CELLS) == Resources(luts=15478, flip_flops=9287, block_rams=5, multipliers=6)
    report = {
        name: {"used": used} for name, used in (("LUT4", 100), ("ALU", 20), ("DFF", 90), ("BSRAM", 5), ("MULT18X18", 6))
    }
    assert Gowin("gw1n", (400, 1200)).used({"utilization": report}, {}) == (
        Resources(luts=120, flip_flops=90, block_rams=5, multipliers=6)
    )


def test_critical_path_is_inside_a_clock_domain():
    assert critical_path(REPORT) == ["0.52 clk-to-q a", "1.92 routing b"]


def test_speed_says_what_limits():
    network = Network.parse("784-256-256-10")
    speed = training_speed(network, 64, 100, 3_000_000)
    assert speed["network"] == "784-256-256-10"
    assert speed["modelled"]
    assert speed["samples_per_second"] == speed["link_samples_per_second"] == pytest.approx(958.5, abs=0.1)
    assert training_speed(network, 4, 24, 12_000_000)["limited_by"] == "engine"


@pytest.mark.parametrize(
    ("lanes", "local", "counted"),
    [(16, 0, 9176), (32, 0, 4730), (64, 0, 2509), (128, 0, 1464), (16, 2, 14025), (32, 2, 7377), (64, 2, 4057)],
)
def test_cycles_are_near_those_that_were_counted(lanes, local, counted):
    """Of docs/performance.md."""
    network = replace(Network.parse("784-256-256-10"), local=local)
    assert training_cycles(network, lanes) == pytest.approx(counted, rel=0.05)


def build_for_real(arguments, capsys, codes=(0,)):
    assert main(["build", *arguments, "--json"]) in codes
    return json.loads(capsys.readouterr().out)


def check(result, board):
    """There is a bitstream, and the estimate was true to 10 %."""
    assert open(result["bitstream"], "rb").read(4)
    estimate = AREAS[board.family].estimate(Limits(**result["limits"]))
    for name in ("luts", "flip_flops", "multipliers"):
        assert result["used"][name] == pytest.approx(getattr(estimate, name), rel=0.1), name
    # Some memories of a small chip are look-up tables.
    assert 0 <= estimate.block_rams - result["used"]["block_rams"] <= 10


@pytest.mark.slow
def test_small_ecp5_bitstream(capsys, tmp_path):
    result = build_for_real(["--board", "ulx3s-25f", *NET, "--clock", "40", "--out", str(tmp_path)], capsys)
    assert result["clock_mhz"] >= 40
    check(result, find_board("ulx3s-25f"))
    stored = json.loads((tmp_path / RESULT).read_text())
    assert {key: result[key] for key in stored if key != "bitstream"} == {
        key: stored[key] for key in stored if key != "bitstream"
    }
    verilog = (tmp_path / "opzo.v").read_text()
    assert "MULT18X18D" in verilog
    assert "CCU2C" in verilog
    # Lattice's preamble, behind the comment.
    assert b"\xff\xff\xbd\xb3" in (tmp_path / "ulx3s-25f.bit").read_bytes()[:200]


@pytest.mark.slow
@pytest.mark.parametrize("board", [board for board in BOARDS if board.family.open], ids=lambda board: board.name)
def test_every_board_builds_or_says_what_is_short(board, capsys, tmp_path):
    code = main(["build", "--board", board.name, "--net", "64-16-10", "--lanes", "4", "--out", str(tmp_path), "--json"])
    captured = capsys.readouterr()
    if all(shortage(board, Limits(4, 512, 64, 4, 10, lanes_per_group=group)) for group in GROUPS if group <= 4):
        assert code == 2
        assert "look-up tables of" in captured.err
        return
    assert code == 0, captured.err
    check(json.loads(captured.out), board)


def test_every_open_family_has_an_estimate():
    assert set(AREAS) == {family for family in Family if family.open}


@pytest.mark.parametrize("sizes", ["1x6x4-3c3-p2-4", "2x8x8-4c3-p2-5c5-3", "3x7x9-8c1-6c3-10"])
def test_cycles_count_the_windows_of_all_positions(sizes):
    for layer in Network(sizes).layers:
        seen = sum(
            (span.end - span.begin) * layer.below.channels for window in windows(layer, False) for span in window
        )
        assert _Work.of(layer, 2, 4).seen == seen


def test_cycles_count_the_intermediate_matrices():
    plain = Network("1x8x8-8c3-8c3-16c3-10", local=3)
    # Six steps, ten classes, 16 blocks in each of two layers, one word of 8 lanes.
    assert training_cycles(replace(plain, intermediate=3), 8) - training_cycles(plain, 8) == 6 * 10 * 2 * 16


def test_build_of_a_network_with_convolutions(tools, tmp_path, capsys):
    tools()
    arguments = ["build", "--board", "ulx3s-85f", "--net", "1x8x8-8c3-p2-16c3-10", "--lanes", "8", "--json"]
    assert main([*arguments, "--block", "1", "--local", "2", "--intermediate", "2"]) == 0
    result = json.loads(capsys.readouterr().out)
    network = Network("1x8x8-8c3-p2-16c3-10", block=1, local=2, intermediate=2)
    assert Limits(**result["limits"]) == replace(tight_limits(network, 8), lanes_per_group=8)
    for less in ({"intermediate": 0}, {"intermediate": 0, "local": 0}, {"block": 2}):
        assert tight_limits(replace(network, **less), 8).rows < result["limits"]["rows"]
    assert result["limits"]["steps"] == 6
    assert main([*arguments, "--input", "spikes", "--steps", "30"]) == 0
    assert json.loads(capsys.readouterr().out)["limits"]["steps"] == 8


def test_a_build_for_gowin_keeps_the_netlist_of_yosys(tmp_path):
    for name in ("opzo.syn.json", "opzo.cst"):
        (tmp_path / name).write_text(name)
    (tmp_path / "out").mkdir()
    build_module.keep_netlists(Gowin("gw2a", (500, 1250)).netlists, tmp_path, tmp_path / "out")
    assert gzip.decompress((tmp_path / "out" / "opzo.json.gz").read_bytes()) == b"opzo.syn.json"
    assert (tmp_path / "out" / "opzo.cst").read_text() == "opzo.cst"
