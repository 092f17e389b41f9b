"""Groups as arrays: the same bytes as groups as modules, with every kind of cell that a group may have."""

import json
from random import Random

import pytest
from amaranth import Cat, ClockDomain, ClockSignal, Module, Mux, Signal, signed
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out
from small_chip import SMALL_CHIP

from opzo.hw.export.convert import to_rtlil, to_verilog
from opzo.hw.export.yosys import read_rtlil, run_yosys
from opzo.hw.lanes.lane_group import instance_index
from opzo.hw.lib.check import check
from opzo.sim.rtl.arrays.chip import array_verilog
from opzo.sim.rtl.arrays.expressions import expression
from opzo.sim.rtl.arrays.module import ArrayModule
from opzo.sim.rtl.arrays.netlist import Cell, Netlist
from opzo.sim.rtl.library import build_library
from opzo.sim.rtl.transport import RtlTransport
from opzo.spec.errors import OpzoError

WORDS = 16
LANES = 2
BYTES = 5_000


class Lane(wiring.Component):
    """A part of a group: knows its index, has a memory, hands something on to the next one."""

    index: In(3)
    enable: In(1)
    byte: In(8)
    own: In(signed(5))
    factor: In(13)
    chain_in: In(13)
    chain: Out(13)
    found: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.table = table = memory.Memory(shape=6, depth=WORDS, init=[])
        write, read = table.write_port(), table.read_port(domain="comb")
        product = Signal(signed(18), init=-3)
        m.d.comb += [
            write.en.eq(self.enable),
            write.addr.eq(self.byte),
            write.data.eq(self.byte[2:] ^ self.index),
            read.addr.eq(self.byte[3:]),
            self.found.eq(read.data > self.index),
        ]
        m.d.sync += [product.eq(self.own * self.factor[:8].as_signed() + self.index)]
        with m.If(self.own < 0):
            m.d.sync += self.chain.eq(self.chain_in + product + read.data)
        return m


class CheckedLane(Lane):
    """A lane that checks something that two lanes of all groups see at once, and only one of them objects to."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        check(m, "byte", (self.byte != 200) | (self.index != 5), "lane 5 got 200")
        return m


class Group(wiring.Component):
    """Something of everything: registers that begin with a value, signs, shifts, choices, memories, lanes."""

    number: In(2)
    enable: In(1)
    byte: In(8)
    chain_in: In(13)
    chain: Out(13)
    shared: Out(8)
    found: Out(LANES)
    lane = Lane

    def elaborate(self, platform):
        m = Module()
        lanes = [self.lane() for _ in range(LANES)]
        follow = Signal(13)
        state = Signal(signed(13), init=-77)
        for number, lane in enumerate(lanes):
            m.submodules[f"lane_{number}"] = lane
            m.d.comb += [
                lane.index.eq(Cat(instance_index(number, LANES), self.number)),
                lane.enable.eq(self.enable & self.byte[number]),
                lane.byte.eq(self.byte),
                lane.own.eq(self.chain_in - state[number:]),
                lane.factor.eq(follow),
                lane.chain_in.eq(lanes[number + 1].chain if number + 1 < LANES else self.chain_in),
            ]
        m.d.comb += self.found.eq(Cat(lane.found for lane in lanes))
        m.submodules.clocked = clocked = memory.Memory(shape=11, depth=WORDS, init=[])
        m.submodules.direct = direct = memory.Memory(shape=signed(9), depth=WORDS, init=[])
        m.submodules.shared = shared = memory.Memory(shape=8, depth=WORDS, init=[])
        write, read = clocked.write_port(), clocked.read_port()
        direct_write, direct_read = direct.write_port(), direct.read_port(domain="comb")
        shared_write, shared_read = shared.write_port(), shared.read_port()
        chosen = Signal(13)
        narrow, wide = Signal(signed(6)), Signal(signed(20))
        byte = self.byte.as_signed()
        with m.Switch(self.byte[:3]):
            with m.Case(0):
                m.d.comb += chosen.eq(state >> self.byte[5:])
            with m.Case(1, 2):
                m.d.comb += chosen.eq(self.chain_in << self.number)
            with m.Case(3):
                m.d.comb += chosen.eq(Cat(state[7:], self.chain_in[:4]))
            with m.Default():
                m.d.comb += chosen.eq(-direct_read.data)
        m.d.comb += [
            narrow.eq(state[3:]),
            wide.eq(byte * state + (narrow >> self.number) + (read.data << self.number)),
            write.en.eq(self.enable & (state > byte)),
            write.addr.eq(self.byte),
            write.data.eq(wide),
            read.addr.eq(state),
            read.en.eq(~self.byte[0] | (state[:4] == self.number)),
            direct_write.en.eq(self.enable),
            direct_write.addr.eq(self.byte[4:]),
            direct_write.data.eq(wide >> 5),
            direct_read.addr.eq(self.byte[4:] ^ 1),
            shared_write.en.eq(self.enable),
            shared_write.addr.eq(self.byte),
            shared_write.data.eq(self.byte + 3),
            shared_read.addr.eq(self.byte[3:]),
            self.shared.eq(shared_read.data),
            follow.eq(lanes[0].chain ^ state),
        ]
        with m.If(self.enable):
            m.d.sync += state.eq(Mux(wide < narrow, wide - chosen, chosen ^ read.data) + self.number)
        with m.If(state.any() & ~read.data.all() & (read.data.xor() | (state <= byte))):
            m.d.sync += self.chain.eq(state + self.chain_in + shared_read.data)
        with m.Elif(state != narrow):
            m.d.sync += self.chain.eq(~read.data)
        return m


class CheckedGroup(Group):
    """A group with checks in its lanes and, on what all groups share, in itself."""

    lane = CheckedLane

    def elaborate(self, platform):
        m = super().elaborate(platform)
        check(m, "shared", self.byte != 201, "the group got 201")
        return m


class Chip(wiring.Component):
    """Groups around a stream of bytes, with the ports of a chip."""

    rx: In(stream.Signature(8))
    tx: Out(stream.Signature(8))
    busy: Out(1)

    def __init__(self, count, group=Group):
        self._count, self._group = count, group
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        groups = [self._group() for _ in range(self._count)]
        accepted = self.rx.valid & self.rx.ready
        end = Signal(13)
        m.d.comb += [self.rx.ready.eq(~self.tx.valid | self.tx.ready), self.busy.eq(self.tx.valid)]
        m.d.sync += self.tx.valid.eq(accepted)
        with m.If(accepted):
            m.d.sync += end.eq(end + self.rx.payload)
        for number, group in enumerate(groups):
            m.submodules[f"group_{number}"] = group
            m.d.comb += [
                group.number.eq(instance_index(number, 4)),
                group.enable.eq(accepted),
                group.byte.eq(self.rx.payload),
                group.chain_in.eq(groups[number + 1].chain if number + 1 < self._count else end),
            ]
        everything = groups[0].shared
        for number, group in enumerate(groups):
            everything = everything ^ group.chain[:8] ^ group.chain[8:].rotate_left(number)
            everything = everything ^ (group.found << number)
        # Never the byte that ends a frame.
        m.d.comb += self.tx.payload.eq(everything & 0x3F)
        return m


def answer(verilog, data):
    """What a chip sends back."""
    chip = RtlTransport(SMALL_CHIP, library=build_library(verilog))
    chip.write(data)
    answered = b""
    while got := chip.read(60.0):
        answered += got
    chip.close()
    return answered


@pytest.mark.parametrize("count", [2, 4])
def test_arrays_do_the_same_in_every_cycle(count):
    text = to_rtlil(Chip(count), "opzo_top")
    plain, arrays = to_verilog(text), array_verilog(text)
    assert "group_1" in plain
    assert "group_1" not in arrays
    assert f"[0:{count - 1}]" in arrays
    seed = 20221 + count
    data = Random(seed).randbytes(BYTES)
    expected = answer(plain, data)
    assert (len(expected), len(set(expected))) == (BYTES, 64), f"seed {seed}"
    got = answer(arrays, data)
    first = next((n for n, pair in enumerate(zip(got, expected, strict=True)) if pair[0] != pair[1]), None)
    assert first is None, f"seed {seed}: byte {first} is {got[first]}, not {expected[first]}"


@pytest.mark.parametrize(
    ("byte", "message"),
    [
        (200, r"cycle 1: .*\.lane_groups.*: lane 5 got 200"),
        (201, r"cycle 1: .*\.lane_groups.*: the group got 201"),
    ],
)
def test_checks_of_groups_and_lanes_fire(byte, message):
    verilog = array_verilog(to_rtlil(Chip(4, CheckedGroup), "opzo_top"))
    assert answer(verilog, bytes(range(200))) == answer(to_verilog(to_rtlil(Chip(4), "opzo_top")), bytes(range(200)))
    with pytest.raises(AssertionError, match=message):
        answer(verilog, bytes([byte]))


def test_a_single_group_stays_as_it_is():
    text = to_rtlil(Chip(1), "opzo_top")
    assert array_verilog(text) == to_verilog(text)


def test_what_all_copies_share_is_computed_once():
    netlist = netlist_of(Group())
    array = ArrayModule("groups", netlist, 4, {"number", "chain_in"})
    assert {port for port in ("number", "byte", "shared", "chain") if array.own(port)} == {"number", "chain"}
    # The memory that only the byte writes to is there once, the others four times.
    text = array.verilog()
    shared = next(cell for cell in netlist.writes if cell.memory.startswith("shared"))
    for name, kept in netlist.memories.items():
        assert text.count(f"] {kept.name}_") == (1 if name == shared.memory else 4), name


def netlist_of(component):
    text = to_rtlil(component, "one")
    script = "proc -norom\nflatten\nopt_expr\nopt_clean\nwrite_json"
    return Netlist.read(json.loads(run_yosys(read_rtlil(text) + script))["modules"]["one"], "clk")


class Store(wiring.Component):
    """A memory with ``init``, whose read port has what is being written where ``through`` says so."""

    address: In(4)
    data: Out(8)

    def __init__(self, init=(), through=False):
        self._init, self._through = init, through
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.store = store = memory.Memory(shape=8, depth=WORDS, init=self._init)
        write = store.write_port()
        read = store.read_port(transparent_for=(write,) if self._through else ())
        m.d.comb += [write.en.eq(1), write.data.eq(self.address), write.addr.eq(self.address)]
        m.d.comb += [read.addr.eq(self.address), self.data.eq(read.data)]
        return m


class Backwards(wiring.Component):
    """A register at the falling edge."""

    bit: In(1)
    out: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.domains.falling = ClockDomain(clk_edge="neg", reset_less=True, local=True)
        m.d.comb += ClockSignal("falling").eq(ClockSignal("sync"))
        m.d.falling += self.out.eq(self.bit)
        return m


def test_what_is_not_translated_is_refused():
    with pytest.raises(ValueError, match="memory store is not initialized with zeros"):
        netlist_of(Store(init=[0, 5]))
    with pytest.raises(ValueError, match=r"memory store has a reset, or is transparent"):
        ArrayModule("groups", netlist_of(Store(through=True)), 2, {"address"}).verilog()
    with pytest.raises(ValueError, match=r"a \$dff has another clock"):
        netlist_of(Backwards())
    with pytest.raises(ValueError, match=r"no expression for a cell of type \$div"):
        expression(Cell("$div", {}, "", {"A": (2, 3), "B": (4, 5), "Y": (6, 7)}), str)
    with pytest.raises(ValueError, match="a shift to the left or right has no expression"):
        expression(Cell("$shift", {"B_SIGNED": 1}, "", {"A": (2, 3), "B": (4, 5), "Y": (6, 7)}), str)
    with pytest.raises(RuntimeError, match=r"Yosys failed: .*No such command: synth"):
        run_yosys("synth")


class Uneven(Chip):
    """A constant that Amaranth puts into one of the groups."""

    def elaborate(self, platform):
        m = Module()
        for number in range(self._count):
            m.submodules[f"group_{number}"] = group = Group()
            m.d.comb += [group.number.eq(number if number else self.rx.payload), group.byte.eq(self.rx.payload)]
            m.d.comb += self.tx.payload[number].eq(group.chain.xor())
        return m


def test_groups_that_differ_are_refused():
    with pytest.raises(ValueError, match="group 1 differs from group 0"):
        array_verilog(to_rtlil(Uneven(2), "opzo_top"))


class UnevenLanes(Group):
    """A slice that Amaranth puts into the lanes."""

    def elaborate(self, platform):
        m = Module()
        for number in range(LANES):
            m.submodules[f"lane_{number}"] = lane = Lane()
            m.d.comb += [lane.byte.eq(self.byte[number:]), self.found[number].eq(lane.found)]
        return m


def test_lanes_that_differ_are_refused():
    with pytest.raises(ValueError, match="lane 1 differs from lane 0"):
        array_verilog(to_rtlil(Chip(2, UnevenLanes), "opzo_top"))


def test_parts_that_cannot_be_joined_are_refused():
    clock = {"direction": "input", "bits": [2]}
    part = {
        "ports": {"clk": clock, "out$1": {"direction": "output", "bits": ["1"]}},
        "cells": {},
        "netnames": {},
    }

    def read(*names):
        cells = {
            f"lane_{number}": {"type": "lane", "parameters": {}, "connections": {"clk": [2], name: [3 + number]}}
            for number, name in enumerate(names)
        }
        nets = {"all": {"bits": [2, 3, 4], "attributes": {}}}
        return Netlist.read({"ports": {"clk": clock}, "cells": cells, "netnames": nets}, "clk", part)

    with pytest.raises(ValueError, match="the parts of a module have different ports"):
        read("out$1", "in$2")
    with pytest.raises(ValueError, match=r"port out\$1 of a part is constant"):
        read("out$1", "out$2")


def test_folder_that_yosys_cannot_use_is_named(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/cache")
    with pytest.raises(OpzoError, match=r"Yosys cannot keep files in /dev/null/cache.*; set XDG_CACHE_HOME"):
        run_yosys("help")
