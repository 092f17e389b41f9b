"""The netlist of a small chip, synthesised and routed by the real tools, through the pins of its board."""

import gzip
import json
import shutil
from random import Random

import pytest
from mill import Mill, answers

from opzo.boards import top
from opzo.boards.build import Plan, build
from opzo.boards.families import flow
from opzo.boards.registry import find_board
from opzo.host.cli.main import main
from opzo.host.driver.devices import connection
from opzo.sim.gates import library, models
from opzo.sim.gates.folder import BuildFolder
from opzo.sim.gates.transport import open_netlist
from opzo.spec.errors import OpzoError
from opzo.spec.limits import Limits
from opzo.spec.network import Network

TINY = Limits(lanes=4, rows=512, inputs=16, words=4, classes=4)
# Active-low lights, and a UART on the pins of a connector; four clock cycles a bit.
BOARD, CLOCK = "orangecrab-25f", 12
LIGHTS = {"link": 0x01, "error": 0x02, "training": 0x04}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Folder of a build."""
    folder = tmp_path_factory.mktemp("build") / BOARD
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(top, "Top", Mill)
        # The script names memories of the accelerator.
        patch.setattr(flow, "_AFTER_READ", f"proc\nwrite_verilog -norename -noattr {flow.VERILOG}")
        # Not the key of a real chip with these limits.
        patch.setattr("opzo.boards.build.SOURCES", ("boards",))
        build(Plan.of(find_board(BOARD), TINY, CLOCK), Network("16-8-4"), folder, print, print)
    return folder


def test_bitstream_is_one(built):
    # Lattice's preamble, behind the comment.
    assert b"\xff\xff\xbd\xb3" in (built / f"{BOARD}.bit").read_bytes()[:200]


@pytest.fixture
def copy(built, tmp_path):
    """Copy of the build, to change."""
    return shutil.copytree(built, tmp_path / "copy")


def exchange(board, sent):
    """What a board answers to bytes."""
    received = b""
    board.write(sent)
    while len(received) < len(sent) and (data := board.read(0)):
        received += data
    return received


def works(address):
    """Whether a board does what it should: clock, answers, lights."""
    board = open_netlist(str(address))
    if abs(board.clock_mhz - CLOCK) > 1e-3 or any(board.lights.values()):
        return False
    quiet = bytes(byte & 0xF8 for byte in Random(1).randbytes(50))
    sent = quiet
    if exchange(board, quiet) != answers(quiet) or any(board.lights.values()):
        return False
    lit = set()
    for name, bit in LIGHTS.items():
        sent += bytes([0xA8 | bit])
        if exchange(board, sent[-1:]) != answers(sent)[-1:]:
            return False
        lit.add(name)
        if {light for light, on in board.lights.items() if on} != lit:
            return False
    board.close()
    return True


def change(folder, edit, name="opzo.json.gz"):
    """Change a netlist; ``edit`` gets its cells."""
    design = json.loads(gzip.decompress((folder / name).read_bytes()))
    edit(design["modules"]["opzo"]["cells"])
    (folder / name).write_bytes(gzip.compress(json.dumps(design).encode()))


def swap(folder, one, other):
    """Swap two pins in the constraints."""
    path = folder / "opzo.lpf"
    path.write_text(path.read_text().replace(one, "?").replace(other, one).replace("?", other))


@pytest.mark.parametrize("part", ["", "routed"])
def test_netlist_does_what_the_chip_should(built, part):
    modules = json.loads(gzip.decompress(BuildFolder(str(built / part)).file.read_bytes()))["modules"]
    cells = {cell["type"] for cell in modules["top" if part else "opzo"]["cells"].values()}
    assert cells >= {"DP16KD", "MULT18X18D", "EHXPLLL", "TRELLIS_FF", "TRELLIS_IO", "DCCA"}
    assert cells >= ({"TRELLIS_COMB", "TRELLIS_RAMW"} if part else {"LUT4", "CCU2C", "TRELLIS_DPR16X4"})
    assert works(built / part)


def test_swapped_lights_are_found(copy):
    swap(copy, "rgb_led_0__r__io", "rgb_led_0__g__io")
    assert not works(copy)


def test_a_light_at_the_pin_of_the_uart_is_found(copy):
    swap(copy, "uart_0__tx__io", "rgb_led_0__g__io")
    assert not works(copy)


def test_an_output_at_the_pin_of_an_input_is_refused(copy):
    swap(copy, "uart_0__tx__io", "uart_0__rx__io")
    with pytest.raises(OpzoError, match=r"has port uart_0__tx__io, no input, at pin N17, where the board has its rx;"):
        open_netlist(str(copy))


def test_a_wrong_divider_of_the_pll_is_found(copy):
    def edit(cells):
        (pll,) = (cell for cell in cells.values() if cell["type"] == "EHXPLLL")
        double = int(pll["parameters"]["CLKFB_DIV"], 2) * 2
        pll["parameters"]["CLKFB_DIV"] = f"{double:032b}"

    change(copy, edit)
    board = open_netlist(str(copy))
    # The VCO would run twice as fast as it can.
    assert board.clock_mhz == 0
    assert board.read(0) == b""
    assert not works(copy)


@pytest.mark.parametrize(
    ("part", "right", "wrong"),
    [
        # Only place and route passes a carry through a bit with INJECT1.
        ("routed", "SUM ? IN : start", "SUM ? added : start"),
        ("", "else if (CE) Q <= d", "else Q <= d"),
        ("", "assign DO = ram[RAD]", "assign DO = ram[WAD]"),
    ],
    ids=["carry", "flip-flop", "distributed RAM"],
)
def test_a_wrong_model_is_found(part, right, wrong, built, monkeypatch):
    text = models.models_verilog("ecp5")
    assert right in text
    monkeypatch.setattr(library, "models_verilog", lambda family: text.replace(right, wrong))
    assert not works(built / part)


def test_what_cannot_be_simulated_is_refused(copy, tmp_path, capsys):
    def refusal(address):
        assert main(["info", "--device", f"netlist:{address}"]) == 2
        return capsys.readouterr().err

    assert refusal(tmp_path / "none") == (
        f"opzo: error: there is no netlist in {tmp_path / 'none'}; build it with: "
        f"opzo build --board BOARD --out {tmp_path / 'none'} --net ...\n"
    )
    change(copy, lambda cells: cells["pll"].update(type="OSCG"))
    assert "has 0 PLLs" in refusal(copy)
    change(copy, lambda cells: cells.update(spare=cells["pll"] | {"type": "EHXPLLL"}))
    change(copy, lambda cells: cells["pll"].update(type="ALU54B"))
    assert "no model for cell ALU54B ('pll'); write one in sim/gates/cells, with its bench" in refusal(copy)
    (copy / "opzo.json.gz").write_bytes(b"x")
    assert f"{copy / 'opzo.json.gz'} is damaged; build it again" in refusal(copy)
    (copy / "opzo.routed.json.gz").unlink()
    assert f"there is no routed netlist in {copy}; build it with" in refusal(copy / "routed")
    configuration = json.loads((copy / "configuration.json").read_text())
    (copy / "configuration.json").write_text(json.dumps(configuration | {"family": "xilinx", "board": "arty-a7-35"}))
    assert (
        "the netlist of arty-a7-35 cannot be simulated: there are models of cells of ecp5 and gowin, not of xilinx"
        in refusal(copy)
    )
    with pytest.raises(OpzoError, match="is not a device; choose"):
        connection("netlist:")
