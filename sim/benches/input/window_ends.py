"""Testbench of the ends of positions of all lists; step lists are tested by `opzo.sim.benches.input.position_ends`."""

from random import Random
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from opzo.hw.input.position_ends import ListKind, list_entries
from opzo.hw.input.window_ends import ends_write
from opzo.sim.benches import bench
from opzo.sim.benches.input.position_ends import Device
from opzo.sim.benches.streams import pack

Ends = dict[tuple[ListKind, int], list[int]]
"""Counts by position, by list: its kind, and the layer of active neurons."""


class Writer:
    """Writes the ends of the lists of active neurons and of inputs."""

    def __init__(self, dut: Any, device: Device) -> None:
        self.dut, self.device, self.rng = dut, device, device.rng
        self.layout = ends_write(device.limits)
        self.most = list_entries(device.limits)[-1]
        dut.active_layer.value = dut.active_ends.value = dut.input_ends.value = 0

    async def write(self) -> Ends:
        """Write random ends, of both memories in the same cycles; without ``en`` nothing is written."""
        dut, rng, maps = self.dut, self.rng, self.device.maps
        ends: Ends = {
            (ListKind.ACTIVE, layer): [rng.choice((0, self.most, rng.randrange(self.most))) for _ in range(map.places)]
            for layer, map in enumerate(maps)
        }
        ends[ListKind.INPUT, 0] = [
            rng.randint(0, self.most) for _ in range(rng.randint(1, self.device.limits.stored_currents))
        ]
        active = [
            (layer, *write)
            for (kind, layer), counts in ends.items()
            if kind == ListKind.ACTIVE
            for write in enumerate(counts)
        ]
        inputs = list(enumerate(ends[ListKind.INPUT, 0]))
        while active or inputs:
            values = [{"en": 0, "place": 0, "count": rng.randint(0, self.most)} for _ in range(2)]
            if active and rng.random() < 0.8:
                layer, place, count = active.pop(0)
                dut.active_layer.value = layer
                values[0] = {"en": 1, "place": place, "count": count}
            if inputs and rng.random() < 0.8:
                place, count = inputs.pop(0)
                values[1] = {"en": 1, "place": place, "count": count}
            dut.active_ends.value, dut.input_ends.value = (pack(self.layout, value) for value in values)
            await FallingEdge(dut.clk)
        dut.active_ends.value = dut.input_ends.value = 0
        await FallingEdge(dut.clk)
        return ends

    async def check(self, ends: Ends) -> None:
        """Read spans of all lists."""
        dut, rng = self.dut, self.rng
        order = [(*key, counts) for key, counts in ends.items() for _ in range(5)]
        rng.shuffle(order)
        for kind, layer, counts in order:
            begin = rng.choice((0, rng.randrange(len(counts))))
            end = rng.randint(begin + 1, len(counts))
            dut.span__kind.value, dut.span__layer.value, dut.span__parity.value = kind.value, layer, rng.getrandbits(1)
            dut.span__begin.value, dut.span__end.value, dut.span__en.value = begin, end, 1
            await FallingEdge(dut.clk)
            dut.span__en.value = 0
            for _ in range(2):
                # The answer stays, whatever is asked without ``en``.
                got = int(dut.span__first.value), int(dut.span__after.value)
                expected = (counts[begin - 1] if begin else 0, counts[end - 1])
                assert got == expected, f"seed {bench.seed()}: {kind}, layer {layer}, span {begin}..{end}"
                assert int(dut.span__index.value) == expected[0]
                dut.span__kind.value = rng.randrange(len(ListKind))
                dut.span__begin.value, dut.span__end.value = rng.randrange(len(counts)), 1
                await FallingEdge(dut.clk)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def keeps_the_ends_of_all_lists(dut: Any) -> None:
    device = Device(dut, Random(bench.seed()))
    writer = Writer(dut, device)
    await bench.start(dut)
    for _ in range(30):
        device.set_maps()
        ends = await writer.write()
        await writer.check(ends)
        # Spikes come while the others stay.
        for layer in range(len(device.maps)):
            await device.fire(layer, 0, 0)
        dut.span__kind.value = ListKind.STEP.value
        await device.check()
        await writer.check(ends)
