"""Models of Gowin's cells against plain functions of what the vendor's documents say."""

from itertools import cycle, product

import pytest
from cell_bench import CellBench, entry, run_checks, tick

from opzo.boards.families.gowin import Gowin
from opzo.sim.gates.cell import Cell
from opzo.sim.gates.family import UnmodelledError
from opzo.sim.gates.gowin import POSTS, VCO, GowinCells
from opzo.spec.errors import OpzoError

SIZES = {"DPB": (8, 16), "DPX9B": (9, 18), "SDPB": (8, 32), "SDPX9B": (9, 36)}
"""Bits of a byte, and of the data pins, of each block RAM."""
OUTPUTS = (*product((0, 1), ("SYNC", "ASYNC")), (1, "SYNC"))
"""Register and reset of the outputs of one block RAM after the other; five, so that each meets all modes and widths."""


def binary(value, width=32):
    """Number as in the JSON."""
    return f"{value:0{width}b}"


def alu(mode):
    """Bit of a sum or a difference: a + b + carry, or a + not b + carry."""

    def function(a, b, add, carry):
        total = a + (b if mode == 0 or (mode == 2 and add) else 1 - b) + carry
        return total & 1, total >> 1

    return function


def combinational(rng):
    """Cells without a state: type, parameters, inputs, outputs and their function."""
    for count in (1, 2, 3, 4):
        for table in [rng.getrandbits(1 << count) for _ in range(20)]:
            pins = tuple(f"I{n}" for n in range(count))
            yield f"LUT{count}", {"INIT": binary(table, 1 << count)}, pins, ("F",), lambda *i, t=table: (entry(t, *i),)
    for mode in (0, 1, 2):
        yield "ALU", {"ALU_MODE": binary(mode)}, ("I0", "I1", "I3", "CIN"), ("SUM", "COUT"), alu(mode)
    for number in (5, 6, 7, 8):
        yield f"MUX2_LUT{number}", {}, ("I0", "I1", "S0"), ("O",), lambda low, high, select: (high if select else low,)
    yield "IBUF", {}, ("I",), ("O",), lambda value: (value,)
    yield "OBUF", {}, ("I",), ("O",), lambda value: (value,)
    yield "TBUF", {}, ("I", "OEN"), ("O",), lambda value, off: (1 if off else value,)


def check_combinational(bench, rng):
    cells = [(bench.add(*cell[:4]), *cell) for cell in combinational(rng)]
    yield
    for number in range(16):
        for cell, _, _, inputs, _, _ in cells:
            bench.set(cell, **{pin: number >> n & 1 for n, pin in enumerate(inputs)})
        bench.eval()
        for cell, kind, parameters, inputs, outputs, function in cells:
            expected = function(*(number >> n & 1 for n in range(len(inputs))))
            assert tuple(bench.get(cell, pin) for pin in outputs) == expected, (kind, parameters, number)


def check_flip_flops(bench, rng):
    """Type by type: the pin that sets or resets, whether at once, the value it sets, and the clock enable."""
    forces = {"": ("", False, 0), "S": ("SET", False, 1), "R": ("RESET", False, 0)}
    forces |= {"P": ("PRESET", True, 1), "C": ("CLEAR", True, 0)}
    kinds = [(f"DFF{letter}{enable}", *forces[letter], enable) for letter in forces for enable in ("", "E")]
    cells = [
        bench.add(kind, {}, ("CLK", "D", *filter(None, (pin, enable and "CE"))), ("Q",))
        for kind, pin, _, _, enable in kinds
    ]
    yield
    states = [value for _, _, _, value, _ in kinds]
    assert [bench.get(cell, "Q") for cell in cells] == states, "values after configuration"
    levels = [0] * len(kinds)
    for _ in range(300):
        for number, (_, pin, at_once, value, enable) in enumerate(kinds):
            d, on, force, level = (rng.getrandbits(1) for _ in range(4))
            bench.set(cells[number], D=d)
            if enable:
                bench.set(cells[number], CE=on)
            if pin:
                bench.set(cells[number], **{pin: force})
            bench.eval()
            bench.set(cells[number], CLK=level)
            rises = level and not levels[number]
            levels[number] = level
            if pin and force and (at_once or rises):
                states[number] = value
            elif rises and (on or not enable):
                states[number] = d
        bench.eval()
        for cell, kind, state in zip(cells, kinds, states, strict=True):
            assert bench.get(cell, "Q") == state, kind


class BlockRam:
    """Bits of a block RAM: words of one or more bytes, or parts of a byte, one behind the other."""

    def __init__(self, rng, byte):
        self.byte = byte
        self.bits = [rng.getrandbits(1) for _ in range(2048 * byte)]

    def places(self, width, address):
        """Bits of the word at an address, whose pins count bits, or eight for each byte of nine."""
        first = address // (width * 8 // self.byte) * width if width >= self.byte else address // width * width
        return range(first, first + width)

    def read(self, width, address):
        return sum(self.bits[place] << n for n, place in enumerate(self.places(width, address)))

    def write(self, width, address, value, enables):
        for n, place in enumerate(self.places(width, address)):
            if width <= self.byte or enables >> n // self.byte & 1:
                self.bits[place] = value >> n & 1

    @property
    def parameters(self):
        size = 32 * self.byte
        values = (sum(bit << n for n, bit in enumerate(self.bits[size * k : size * k + size])) for k in range(64))
        return {f"INIT_RAM_{number:02X}": binary(value, size) for number, value in enumerate(values)}


def widths(kind):
    byte, most = SIZES[kind]
    return [width for width in (1, 2, 4) if byte == 8] + [byte * n for n in (1, 2, 4) if byte * n <= most]


def lines_of(width, byte, address, enables):
    """Address pins of a port: a word, and the enables of its bytes on the lowest ones."""
    count = width // byte
    return address if count < 2 else address & ~(count * 8 - 1) | enables


def check_dual_port_rams(bench, rng):
    """Both ports read and write, at other places at the same time."""
    outputs = cycle(OUTPUTS)
    kinds = [
        (kind, width, mode, *next(outputs))
        for kind in ("DPB", "DPX9B")
        for width, mode in product(widths(kind), (0, 1, 2))
    ]
    rams = [BlockRam(rng, SIZES[kind[0]][0]) for kind in kinds]
    cells = []
    for (kind, width, mode, register, reset), ram in zip(kinds, rams, strict=True):
        names = {"BIT_WIDTH_": binary(width), "WRITE_MODE": binary(mode), "READ_MODE": str(register)}
        parameters = {f"{name}{n}": value for name, value in names.items() for n in (0, 1)}
        parameters |= {"BLK_SEL_0": "010", "BLK_SEL_1": "010", "RESET_MODE": reset}
        size = SIZES[kind][1]
        pins = [(f"{name}{port}", bits) for port in "AB" for name, bits in (("DI", size), ("AD", 14), ("BLKSEL", 3))]
        pins += [f"{name}{port}" for port in "AB" for name in ("CE", "OCE", "CLK", "WRE", "RESET")]
        cells.append(bench.add(kind, parameters | ram.parameters, pins, (("DOA", size), ("DOB", size))))
    yield
    latched = [[0, 0] for _ in kinds]
    out = [[0, 0] for _ in kinds]
    for _ in range(150):
        for number, ((kind, width, mode, _, _), ram) in enumerate(zip(kinds, rams, strict=True)):
            half = rng.getrandbits(1)
            byte, size = SIZES[kind]
            for place, port in enumerate("AB"):
                # Few words, so that what was written is read; the ports never meet, but share lines of four bytes.
                address = (rng.randrange(64) * 32 + rng.randrange(16) + 16 * (half ^ place)) % 128
                enables = rng.randrange(1 << max(1, width // byte))
                write, on = rng.getrandbits(1), int(rng.random() < 0.9)
                reset, chosen = int(rng.random() < 0.05), 2 if rng.random() < 0.9 else 5
                value, enable = rng.getrandbits(size), rng.getrandbits(1)
                pins = {"AD": (lines_of(width, byte, address, enables), 14), "DI": (value, size), "BLKSEL": (chosen, 3)}
                pins |= {"CE": on, "WRE": write, "OCE": enable, "RESET": reset, "CLK": 0}
                bench.set(cells[number], **{f"{name}{port}": level for name, level in pins.items()})
                old, shown = ram.read(width, address), latched[number][place]
                if on and chosen == 2:
                    if write:
                        ram.write(width, address, value, enables)
                    if not write or mode:
                        latched[number][place] = old if not write or mode == 2 else ram.read(width, address)
                if enable:
                    out[number][place] = shown
                if reset:
                    latched[number][place] = out[number][place] = 0
        bench.eval()
        for cell in cells:
            bench.set(cell, CLKA=1, CLKB=1)
        bench.eval()
        for cell, kind, *shown in zip(cells, kinds, latched, out, strict=True):
            size = SIZES[kind[0]][1]
            assert [bench.get(cell, "DOA", size), bench.get(cell, "DOB", size)] == shown[kind[3]], kind


def check_semi_dual_port_rams(bench, rng):
    """Port A writes, port B reads with another width, never the line that is written."""
    outputs = cycle(OUTPUTS)
    kinds = [(kind, *sizes, *next(outputs)) for kind in ("SDPB", "SDPX9B") for sizes in product(widths(kind), repeat=2)]
    rams = [BlockRam(rng, SIZES[kind[0]][0]) for kind in kinds]
    cells = []
    for (kind, writes, reads, register, reset), ram in zip(kinds, rams, strict=True):
        parameters = {"BIT_WIDTH_0": binary(writes), "BIT_WIDTH_1": binary(reads), "READ_MODE": str(register)}
        parameters |= {"BLK_SEL_0": "011", "BLK_SEL_1": "001", "RESET_MODE": reset}
        size = SIZES[kind][1]
        pins = [("DI", size), ("ADA", 14), ("ADB", 14), ("BLKSELA", 3), ("BLKSELB", 3)]
        pins += ["CLKA", "CLKB", "CEA", "CEB", "OCE", "RESETB"]
        cells.append(bench.add(kind, parameters | ram.parameters, pins, (("DO", size),)))
    yield
    latched, out = [0] * len(kinds), [0] * len(kinds)
    for _ in range(150):
        for number, ((kind, writes, reads, _, _), ram) in enumerate(zip(kinds, rams, strict=True)):
            byte, size = SIZES[kind]
            half = rng.getrandbits(1)
            to, source = (rng.randrange(32) | line << 5 | rng.getrandbits(1) << 13 for line in (half, 1 - half))
            enables, value = rng.randrange(1 << max(1, writes // byte)), rng.getrandbits(size)
            write, on, enable = (int(rng.random() < 0.8) for _ in range(3))
            reset, chosen = int(rng.random() < 0.05), 1 if rng.random() < 0.9 else 4
            pins = {"ADA": (lines_of(writes, byte, to, enables), 14), "ADB": (lines_of(reads, byte, source, 0), 14)}
            pins |= {"DI": (value, size), "BLKSELA": (3, 3), "BLKSELB": (chosen, 3), "CLKA": 0, "CLKB": 0}
            bench.set(cells[number], CEA=write, CEB=on, OCE=enable, RESETB=reset, **pins)
            if enable:
                out[number] = latched[number]
            if on and chosen == 1:
                latched[number] = ram.read(reads, source)
            if reset:
                latched[number] = out[number] = 0
            if write:
                ram.write(writes, to, value, enables)
        bench.eval()
        for cell in cells:
            bench.set(cell, CLKA=1, CLKB=1)
        bench.eval()
        for number, (cell, kind) in enumerate(zip(cells, kinds, strict=True)):
            shown = out[number] if kind[3] else latched[number]
            assert bench.get(cell, "DO", SIZES[kind[0]][1]) == shown, kind


def check_collisions(bench, rng):
    """A word that is read through one port while the other writes it is undefined."""
    ram = BlockRam(rng, 9)
    sizes = {"BIT_WIDTH_0": binary(18), "BIT_WIDTH_1": binary(18)}
    pins = [("DI", 36), ("ADA", 14), ("ADB", 14), ("BLKSELA", 3), ("BLKSELB", 3)]
    pins += ["CLKA", "CLKB", "CEA", "CEB", "OCE", "RESETB"]
    cell = bench.add("SDPX9B", sizes | ram.parameters, pins, (("DO", 36),))
    yield
    old, value = ram.read(18, 64), rng.getrandbits(18)
    clocks = ("CLKA", "CLKB")
    tick(bench, cell, *clocks, CEA=1, CEB=1, ADA=(64 | 3, 14), ADB=(64, 14), DI=(value, 36))
    assert bench.get(cell, "DO", 36) not in (old, value)
    tick(bench, cell, *clocks, ADB=(96, 14))
    assert bench.get(cell, "DO", 36) == ram.read(18, 96)
    tick(bench, cell, *clocks, CEA=0, ADB=(64, 14))
    assert bench.get(cell, "DO", 36) == value


def check_multipliers(bench, rng):
    """Registers at the inputs, at the signs, between and behind, each in use or not."""
    kinds = list(product((0, 1), (0, 1), (0, 1), ("SYNC", "ASYNC")))
    pins = [("A", 18), ("B", 18), ("SIA", 18), ("SIB", 18)]
    pins += ["ASIGN", "BSIGN", "ASEL", "BSEL", "CE", "CLK", "RESET"]
    cells = []
    for first, between, last, reset in kinds:
        parameters = dict.fromkeys(("AREG", "BREG", "ASIGN_REG", "BSIGN_REG"), str(first))
        parameters |= {"PIPE_REG": str(between), "OUT_REG": str(last), "MULT_RESET_MODE": reset}
        cells.append(bench.add("MULT18X18", parameters, pins, (("DOUT", 36),)))
    yield
    corners = (0, 1, 2, 0x1FFFF, 0x20000, 0x20001, 0x3FFFF, 0x3FFFE)
    stimuli = [*product(corners, repeat=2), *((rng.getrandbits(18), rng.getrandbits(18)) for _ in range(200))]
    waiting = [[0] * sum(kind[:3]) for kind in kinds]
    for a, b in stimuli:
        signs, chains = [(rng.getrandbits(1), rng.getrandbits(1)) for _ in range(2)]
        on, reset = int(rng.random() < 0.9), int(rng.random() < 0.03)
        x, y = (v - (s and v >> 17) * (1 << 18) for v, s in zip((a, b), signs, strict=True))
        product_now = x * y % (1 << 36)
        for cell, line in zip(cells, waiting, strict=True):
            for name, value, chain in (("A", a, chains[0]), ("B", b, chains[1])):
                other = rng.getrandbits(18)
                bench.set(cell, **{name: (other if chain else value, 18), f"SI{name}": (value if chain else other, 18)})
            bench.set(cell, ASEL=chains[0], BSEL=chains[1], ASIGN=signs[0], BSIGN=signs[1], CE=on, RESET=reset, CLK=0)
            if reset:
                line[:] = [0] * len(line)
            elif on and line:
                line[:] = [*line[1:], product_now]
        bench.eval()
        for cell in cells:
            bench.set(cell, CLK=1)
        bench.eval()
        for kind, cell, line in zip(kinds, cells, waiting, strict=True):
            assert bench.get(cell, "DOUT", 36) == (line[0] if line else product_now), (kind, a, b, signs)


CHECKS = {
    "combinational": check_combinational,
    "flip-flops": check_flip_flops,
    "dual-port RAMs": check_dual_port_rams,
    "semi-dual-port RAMs": check_semi_dual_port_rams,
    "collisions": check_collisions,
    "multipliers": check_multipliers,
}


def check(names, mutate=lambda text: text):
    run_checks([CHECKS[name] for name in names], CellBench(mutate, "gowin"))


def test_cells_do_what_the_vendor_says():
    check(CHECKS)


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("combinational", "half ? CIN : I0", "half ? CIN : I1"),
        ("flip-flops", "if (RESET) Q <= 0;\n        else if (CE)", "if (RESET & CE) Q <= 0;\n else if (CE)"),
        ("collisions", "same ? mask_a : 0", "0"),
    ],
)
def test_a_wrong_model_is_found(name, right, wrong):
    def mutate(text):
        assert right in text
        return text.replace(right, wrong)

    with pytest.raises(AssertionError):
        check([name], mutate)


@pytest.mark.parametrize(
    ("kind", "parameters", "message"),
    [
        ("ALU", {"ALU_MODE": binary(3)}, r"ALU '.*' has ALU_MODE 0*11; extend"),
        ("DFFR", {"INIT": "1"}, r"DFFR '.*': its model knows no INIT like this one"),
        ("MULT18X18", {"SOA_REG": "1"}, r"MULT18X18 '.*': its model knows no SOA_REG like this one"),
        ("RAM16SDP4", {}, r"no model for cell RAM16SDP4 "),
    ],
)
def test_what_no_model_knows_is_refused(kind, parameters, message):
    bench = CellBench(family="gowin")
    bench.add(kind, parameters, [], [])
    with pytest.raises(OpzoError, match=message):
        bench.build()


def test_inputs_that_nothing_drives_are_refused():
    bench = CellBench(family="gowin")
    bench.add("DFFE", {}, ("CLK", "D"), ("Q",))
    with pytest.raises(OpzoError, match=r"DFFE '.*': its model knows no CE like this one"):
        bench.build()


def pll(**changed):
    """PLL as a build makes it, with changes."""
    parameters = {"IDIV_SEL": binary(8), "FBDIV_SEL": binary(3), "ODIV_SEL": binary(80), "DEVICE": "GW2A-18"}
    fixed = {"CLKFB_SEL": "internal", "DYN_IDIV_SEL": "false", "FCLKIN": "27"}
    connections = {name: [2 + n] for n, name in enumerate(("CLKIN", "CLKOUT", "LOCK"))}
    connections |= {name: ["0"] for name in ("CLKFB", "RESET", "RESET_P")}
    connections |= {name: changed.pop(name) for name in list(changed) if name in connections}
    return Cell({"type": "rPLL", "parameters": parameters | fixed | changed, "connections": connections})


def test_settings_of_a_pll_are_read():
    found = GowinCells().settings(pll())
    assert (found.reference, found.feedback, found.post) == (9, 4, 80)
    for device, family in (("GW2A-18", "gw2a"), ("GW1NR-9C", "gw1n")):
        # What the build may choose, the model accepts.
        builds = Gowin(family, VCO[device]).pll
        assert tuple(builds.posts) == POSTS
        assert (builds.vco, builds.comparator) == (VCO[device], found.comparator)


@pytest.mark.parametrize(
    "changed",
    [
        {"IDIV_SEL": binary(64)},
        {"FBDIV_SEL": "x"},
        {"ODIV_SEL": binary(5)},
        {"DEVICE": "GW5A-25A"},
        {"CLKFB_SEL": "external"},
        {"CLKOUT_BYPASS": "true"},
        {"DYN_ODIV_SEL": "true"},
        {"CLKOUT_DLY_STEP": binary(1)},
        {"RESET": [9]},
        {"RESET_P": ["1"]},
    ],
)
def test_other_settings_of_a_pll_are_refused(changed):
    with pytest.raises(UnmodelledError):
        GowinCells().settings(pll(**changed))
