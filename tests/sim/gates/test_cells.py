"""Models of the ECP5's cells against plain functions of what the vendor's documents say."""

import re
from itertools import pairwise, product
from random import Random

import pytest
from block_ram import MODES, RAM_PINS, BlockRam, binary
from cell_bench import CellBench, entry, run_checks, settled, tick

from opzo.sim.gates.tables import table_expression

LUT_PINS = ("A", "B", "C", "D")
TABLES = (0, 0xFFFF, 0x8000, 0x0001, 0x6996, 0xAAAA, 0xFF00, 0xA96A, 0x96AA)


def carry(table, inject, a, b, c, d, carry_in):
    """Sum and carry of a bit of a chain."""
    total = entry(table, a, b, c, d)
    start = 0 if inject == "YES" else entry(table & 0xF, a, b)
    return total ^ (0 if inject == "YES" else carry_in), carry_in if total else start


def combinational(bench, rng):
    """Cells without a state: type, parameters, inputs, outputs and their function."""
    tables = [*TABLES, *(rng.getrandbits(16) for _ in range(20))]
    for table in tables:
        yield "LUT4", {"INIT": binary(table, 16)}, LUT_PINS, ("Z",), lambda *i, t=table: (entry(t, *i),)
    for table, other in pairwise(tables):
        for inject in ("NO", "YES"):

            def chain(ci, a0, b0, c0, d0, a1, b1, c1, d1, t=(table, other), inject=inject):
                s0, between = carry(t[0], inject, a0, b0, c0, d0, ci)
                s1, out = carry(t[1], inject, a1, b1, c1, d1, between)
                return s0, s1, out

            pins = ("CIN", "A0", "B0", "C0", "D0", "A1", "B1", "C1", "D1")
            parameters = {"INIT0": binary(table, 16), "INIT1": binary(other, 16)}
            parameters |= {"INJECT1_0": inject, "INJECT1_1": inject}
            yield "CCU2C", parameters, pins, ("S0", "S1", "COUT"), chain

            def bit(ci, a, b, c, d, t=table, inject=inject):
                return carry(t, inject, a, b, c, d, ci)

            parameters = {"MODE": "CCU2", "INITVAL": binary(table, 16), "CCU2_INJECT1": inject}
            yield "TRELLIS_COMB", parameters, ("FCI", *LUT_PINS), ("F", "FCO"), bit
        mode = {"MODE": "LOGIC", "INITVAL": binary(table, 16)}

        def five(a, b, c, d, m, f1, t=table):
            return entry(t, a, b, c, d), f1 if m else entry(t, a, b, c, d)

        yield "TRELLIS_COMB", mode, (*LUT_PINS, "M", "F1"), ("F", "OFX"), five

        def six(a, b, c, d, m, fxa, fxb, t=table):
            return entry(t, a, b, c, d), fxb if m else fxa

        yield "TRELLIS_COMB", mode, (*LUT_PINS, "M", "FXA", "FXB"), ("F", "OFX"), six
    yield "PFUMX", {}, ("ALUT", "BLUT", "C0"), ("Z",), lambda a, b, c: (a if c else b,)
    yield "L6MUX21", {}, ("D0", "D1", "SD"), ("Z",), lambda low, high, select: (high if select else low,)
    yield "DCCA", {}, ("CLKI", "CE"), ("CLKO",), lambda clock, enable: (clock & enable,)
    yield "TRELLIS_IO", {"DIR": "INPUT"}, ("B",), ("O",), lambda pad: (pad,)
    yield "TRELLIS_IO", {"DIR": "OUTPUT"}, ("I", "T"), ("B",), lambda value, off: (1 if off else value,)


def check_combinational(bench, rng):
    cells = [(bench.add(*cell[:4]), *cell) for cell in combinational(bench, rng)]
    yield
    for number in range(512):
        # All values of the narrow ones, and of the nine inputs of a carry cell.
        for cell, _, _, inputs, _, _ in cells:
            bench.set(cell, **{pin: number >> n & 1 for n, pin in enumerate(inputs)})
        bench.eval()
        for cell, kind, parameters, inputs, outputs, function in cells:
            expected = function(*(number >> n & 1 for n in range(len(inputs))))
            assert tuple(bench.get(cell, pin) for pin in outputs) == expected, (kind, parameters, number)


def check_flip_flops(bench, rng):
    kinds = list(
        product(
            ("RESET", "SET"), ("LSR_OVER_CE", "ASYNC"), ("1 ", "CE", "INV"), ("LSR", "INV"), ("0", "1"), ("CLK", "INV")
        )
    )
    cells = []
    for regset, mode, enable, reset, source, clock in kinds:
        parameters = {"REGSET": regset, "SRMODE": mode, "CEMUX": enable, "LSRMUX": reset, "SD": source, "CLKMUX": clock}
        cells.append(bench.add("TRELLIS_FF", parameters, ("CLK", "LSR", "CE", "DI", "M"), ("Q",)))
    yield
    states = [int(regset == "SET") for regset, *_ in kinds]
    for cell, state in zip(cells, states, strict=True):
        assert bench.get(cell, "Q") == state, "value after configuration"
    levels = [0] * len(kinds)
    for _ in range(300):
        pins = [{pin: rng.getrandbits(1) for pin in ("LSR", "CE", "DI", "M")} for _ in kinds]
        for clocked in (False, True):
            for number, (regset, mode, enable, reset, source, clock) in enumerate(kinds):
                given, level = pins[number], rng.getrandbits(1) if clocked else levels[number]
                bench.set(cells[number], **given, CLK=level)
                resets = given["LSR"] ^ (reset == "INV")
                on = {"1 ": 1, "CE": given["CE"], "INV": 1 - given["CE"]}[enable]
                value = int(regset == "SET")
                if level != levels[number] and level == (clock == "CLK"):
                    if resets:
                        states[number] = value
                    elif on:
                        states[number] = given["DI"] if source == "1 " else given["M"]
                if mode == "ASYNC" and resets:
                    states[number] = value
                levels[number] = level
            bench.eval()
            for cell, kind, state in zip(cells, kinds, states, strict=True):
                assert bench.get(cell, "Q") == state, kind


def check_distributed_rams(bench, rng):
    """The cell of yosys, and the five of nextpnr: one for each bit, and the write port."""
    contents = [rng.getrandbits(4) for _ in range(16)]
    inits = sum(word << 4 * n for n, word in enumerate(contents))
    ram = bench.add(
        "TRELLIS_DPR16X4",
        {"INITVAL": binary(inits, 64), "WREMUX": "WRE", "WCKMUX": "WCK"},
        (("DI", 4), ("WAD", 4), ("RAD", 4), "WRE", "WCK"),
        (("DO", 4),),
    )
    port = bench.add(
        "TRELLIS_RAMW",
        {},
        ("A0", "B0", "C0", "D0", "A1", "B1", "C1", "D1"),
        ("WADO0", "WADO1", "WADO2", "WADO3", "WDO0", "WDO1", "WDO2", "WDO3"),
    )
    # Entry {D, C, B, A} of a bit's table is its value in the word {A, C, B, D}.
    words = [(n & 1) << 3 | (n >> 2 & 1) << 2 | (n >> 1 & 1) << 1 | n >> 3 for n in range(16)]
    bits = [
        bench.add(
            "TRELLIS_COMB",
            {
                "MODE": "DPRAM",
                "INITVAL": binary(sum((contents[word] >> bit & 1) << n for n, word in enumerate(words)), 16),
            },
            ("A", "B", "C", "D", "WD", "WAD0", "WAD1", "WAD2", "WAD3", "WRE", "WCK"),
            ("F",),
        )
        for bit in range(4)
    ]
    yield
    for number in range(400):
        write, address, value = rng.getrandbits(1), rng.randrange(16), rng.getrandbits(4)
        # The first 16 read what the configuration left.
        read = number % 16 if number < 16 else rng.randrange(16)
        write &= number >= 16
        a, d, c, b = (address >> n & 1 for n in (3, 0, 2, 1))
        settled(bench, port, A0=a, B0=b, C0=c, D0=d, A1=value >> 1 & 1, B1=value >> 3, C1=value & 1, D1=value >> 2 & 1)
        wires = [bench.get(port, f"WADO{n}") for n in range(4)], [bench.get(port, f"WDO{n}") for n in range(4)]
        assert sum(bit << n for n, bit in enumerate(wires[0])) == address
        assert sum(bit << n for n, bit in enumerate(wires[1])) == value
        tick(bench, ram, "WCK", DI=(value, 4), WAD=(address, 4), RAD=(read, 4), WRE=write)
        for bit, cell in enumerate(bits):
            lines = {f"WAD{n}": level for n, level in enumerate(wires[0])}
            lines |= {"A": read >> 3, "C": read >> 2 & 1, "B": read >> 1 & 1, "D": read & 1}
            tick(bench, cell, "WCK", WD=wires[1][bit], WRE=write, **lines)
        if write:
            contents[address] = value
        assert bench.get(ram, "DO", 4) == contents[read]
        assert sum(bench.get(cell, "F") << bit for bit, cell in enumerate(bits)) == contents[read]


def check_block_rams(bench, rng):
    """One port writes and reads, then the other; at other places at the same time."""
    kinds = [*product((1, 2, 4, 9, 18), MODES, ("NOREG", "OUTREG")), (36, "NORMAL", "NOREG"), (36, "NORMAL", "OUTREG")]
    rams = [BlockRam(rng) for _ in kinds]
    cells = []
    for (width, mode, register), ram in zip(kinds, rams, strict=True):
        sizes = {"DATA_WIDTH_A": binary(width, 32), "DATA_WIDTH_B": binary(width, 32), "RESETMODE": "SYNC"}
        modes = {"WRITEMODE_A": mode, "WRITEMODE_B": mode, "REGMODE_A": register, "REGMODE_B": register}
        select = {"CSDECODE_A": "0b010", "CSDECODE_B": "0b010"}
        outputs = (("DOA", 18), ("DOB", 18))
        cells.append(bench.add("DP16KD", sizes | modes | select | ram.parameters, RAM_PINS, outputs))
    yield
    latched = [[0, 0] for _ in kinds]
    out = [[0, 0] for _ in kinds]
    for _ in range(150):
        expected = []
        for number, ((width, mode, _register), ram) in enumerate(zip(kinds, rams, strict=True)):
            # Few words, so that what was written is read; the ports never meet.
            page = rng.getrandbits(1)
            before = [list(ports) for ports in (latched[number], out[number])]
            pins = {}
            for place, port in enumerate("AB"):
                address = rng.randrange(64) | (page ^ place) << 13
                enables = 15 if width < 18 else rng.randrange(1 << width // 9)
                lines = address if width < 18 else address & ~(3 if width == 18 else 31) | enables
                write, on, reset = rng.getrandbits(1), int(rng.random() < 0.9), int(rng.random() < 0.05)
                # A pseudo dual port writes through A and reads through B.
                write = 1 - place if width == 36 else write
                chosen = 2 if rng.random() < 0.9 else 5
                value = rng.getrandbits(max(width, 18))
                pins |= {f"AD{port}": (lines, 14), f"CE{port}": on, f"WE{port}": write, f"RST{port}": reset}
                pins |= {f"CS{port}": (chosen, 3), f"OCE{port}": (enable := rng.getrandbits(1))}
                pins[f"DI{port}"] = value & 0x3FFFF, 18
                if width == 36 and port == "A":
                    upper = value >> 18
                elif width == 36:
                    pins["DIB"] = upper, 18
                active, old = on and chosen == 2, ram.read(width, address)
                if active and write:
                    ram.write(width, address, value, enables)
                if active and not (write and mode == "NORMAL"):
                    latched[number][place] = ram.read(width, address) if mode == "WRITETHROUGH" else old
                if enable:
                    out[number][place] = before[0][place]
                if reset:
                    latched[number][place] = out[number][place] = 0
            bench.set(cells[number], CLKA=0, CLKB=0, **pins)
        bench.eval()
        for cell in cells:
            bench.set(cell, CLKA=1, CLKB=1)
        bench.eval()
        expected = [
            shown[1] if kind[2] == "OUTREG" else shown[0] for kind, *shown in zip(kinds, latched, out, strict=True)
        ]
        for cell, kind, (a, b) in zip(cells, kinds, expected, strict=True):
            got = bench.get(cell, "DOA", 18), bench.get(cell, "DOB", 18)
            assert got == ((b & 0x3FFFF, b >> 18) if kind[0] == 36 else (a, b)), kind


def check_collisions(bench, rng):
    """A word that is read through one port while the other writes it is undefined."""
    ram = BlockRam(rng)
    sizes = {"DATA_WIDTH_A": binary(9, 32), "DATA_WIDTH_B": binary(9, 32), "WRITEMODE_A": "READBEFOREWRITE"}
    cell = bench.add("DP16KD", sizes | ram.parameters, RAM_PINS, (("DOA", 18), ("DOB", 18)))
    yield
    old, value = ram.read(9, 16), rng.getrandbits(9)
    always = {"CEA": 1, "CEB": 1, "WEA": 1, "ADA": (16, 14), "DIA": (value, 18)}
    tick(bench, cell, "CLKA", "CLKB", ADB=(16, 14), **always)
    assert bench.get(cell, "DOB", 18) not in (old, value)
    assert bench.get(cell, "DOA", 18) == old
    tick(bench, cell, "CLKA", "CLKB", ADB=(24, 14), **always)
    assert bench.get(cell, "DOB", 18) == ram.read(9, 24)
    tick(bench, cell, "CLKA", "CLKB", ADB=(16, 14), WEA=0)
    assert bench.get(cell, "DOB", 18) == value


def check_multipliers(bench, rng):
    """Registers at the inputs, between and behind, each in use or not."""
    kinds = list(product(("CLK0", "NONE"), repeat=3))
    names = ("REG_INPUTA_CLK", "REG_PIPELINE_CLK", "REG_OUTPUT_CLK")
    pins = (("A", 18), ("B", 18), "SIGNEDA", "SIGNEDB", "SOURCEA", "SOURCEB", "CLK0", "CE0", "RST0")
    cells = []
    for kind in kinds:
        parameters = dict(zip(names, kind, strict=True)) | {"REG_INPUTB_CLK": kind[0]}
        cells.append(bench.add("MULT18X18D", parameters, pins, (("P", 36),)))
    yield
    corners = (0, 1, 2, 0x1FFFF, 0x20000, 0x20001, 0x3FFFF, 0x3FFFE)
    stimuli = [*product(corners, repeat=2), *((rng.getrandbits(18), rng.getrandbits(18)) for _ in range(100))]
    for a, b in stimuli:
        signs = (1, 1) if rng.random() < 0.7 else (rng.getrandbits(1), rng.getrandbits(1))
        for kind, cell in zip(kinds, cells, strict=True):
            # The signs have no register of their own here: they stay while a product is on its way.
            for _ in range(4):
                tick(bench, cell, "CLK0", A=(a, 18), B=(b, 18), CE0=1, RST0=0, SIGNEDA=signs[0], SIGNEDB=signs[1])
            x, y = (v - (s and v >> 17) * (1 << 18) for v, s in zip((a, b), signs, strict=True))
            assert bench.get(cell, "P", 36) == x * y % (1 << 36), (kind, a, b, signs)
    for kind, cell in zip(kinds, cells, strict=True):
        # As many edges as registers, from operands to product.
        settled(bench, cell, CLK0=0, A=(3, 18), B=(5, 18), SIGNEDA=1, SIGNEDB=1)
        for _ in range(kind.count("CLK0")):
            assert bench.get(cell, "P", 36) != 15, kind
            tick(bench, cell, "CLK0")
        assert bench.get(cell, "P", 36) == 15, kind
        # Held without an enable, cleared by a reset.
        if kind.count("CLK0"):
            for _ in range(3):
                tick(bench, cell, "CLK0", A=(7, 18), CE0=0)
            assert bench.get(cell, "P", 36) == 15, kind
            tick(bench, cell, "CLK0", A=(0, 18), B=(0, 18), RST0=1)
            assert bench.get(cell, "P", 36) == 0, kind


CHECKS = {
    "combinational": check_combinational,
    "flip-flops": check_flip_flops,
    "distributed RAMs": check_distributed_rams,
    "block RAMs": check_block_rams,
    "collisions": check_collisions,
    "multipliers": check_multipliers,
}


def check(names, mutate=lambda text: text):
    run_checks([CHECKS[name] for name in names], CellBench(mutate))


def test_cells_do_what_the_vendor_says():
    check(CHECKS)


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("combinational", "SUM ? IN : start", "SUM ? start : IN"),
        (
            "flip-flops",
            "if (LSR) Q <= VALUE;\n                else if (CE)",
            "if (CE & LSR) Q <= VALUE;\n else if (CE)",
        ),
        ("distributed RAMs", "ram[{A, C, B, D}]", "ram[{A, B, C, D}]"),
        ("collisions", "same ? mask_a : 36'b0", "36'b0"),
    ],
)
def test_a_wrong_model_is_found(name, right, wrong):
    def mutate(text):
        assert right in text
        return text.replace(right, wrong)

    with pytest.raises(AssertionError):
        check([name], mutate)


def test_expressions_equal_their_tables():
    """Bit by bit: an input is the 16 bits of its column in a table of four inputs."""
    columns = {"A": 0xAAAA, "B": 0xCCCC, "C": 0xF0F0, "D": 0xFF00}
    rng = Random(1)
    for table in [*TABLES, *(1 << n for n in range(16)), *(rng.getrandbits(16) for _ in range(3000))]:
        text = table_expression(table, LUT_PINS)
        text = re.sub(r"1'b([01])", lambda match: "0xFFFF" if match[1] == "1" else "0", text)
        assert evaluated(text, columns) == table, (hex(table), text)
    assert table_expression(0x96AA, ("a", "1'b0", "1'b1", "1'b1")) == "~a"
    assert table_expression(0x8000, ("1'b1", "b", "1'b1", "1'b0")) == "1'b0"


def evaluated(text, columns):
    """Value of an expression, 16 bits at once."""
    while match := re.search(r"\(([^()?]+) \? ([^()?]+) : ([^()?]+)\)|\(([^()?]+)\)|^([^()?]+)$", text):
        if match[1]:
            test, yes, no = (eval(part, {}, columns) & 0xFFFF for part in match.group(1, 2, 3))
            value = test & yes | ~test & no
        else:
            value = eval(match[4] or match[5], {}, columns)
        text = text[: match.start()] + str(value & 0xFFFF) + text[match.end() :]
        if text.isdigit():
            return int(text)
    raise AssertionError(text)
