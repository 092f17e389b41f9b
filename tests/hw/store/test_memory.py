"""Memory behind the sample store: block RAM, and SDRAM with the model of a chip."""

from dataclasses import replace

import pytest

from opzo.hw.store.block_memory import BlockMemory
from opzo.hw.store.sdram.controller import SdramController
from opzo.hw.store.sdram.parts import TANG_NANO_20K, ULX3S, SdramPart
from opzo.hw.store.sdram.timing import PinDelays, SdramTiming, read_edges
from opzo.sim.benches.bench import run_bench

BENCH = "opzo.sim.benches.store.memory"
POWER_UP_US = 20
"""Instead of 200, to save time."""
TRAFFIC = {"commands": 12, "idle": 3000, "resets": 4, "records": 20}


def run(part: SdramPart, clock: float, delays: PinDelays, **more: object) -> None:
    timing = SdramTiming.of(replace(part, power_up_us=POWER_UP_US), clock)
    run_bench(
        SdramController(part, timing, read_edges(part, clock, delays)),
        name=f"sdram-{part.name}",
        test_module=BENCH,
        parameters={
            "part": part.name,
            "power_up_us": POWER_UP_US,
            "period": 1e9 / clock,
            "clock": delays.clock,
            "output": delays.output,
            "input": delays.input,
            **TRAFFIC,
        }
        | more,
    )


def test_block_memory():
    run_bench(BlockMemory(12), name="block_memory", test_module=BENCH, parameters={"address_bits": 12, **TRAFFIC})


def test_sdram():
    run(ULX3S, 62.5e6, PinDelays(clock=(6, 7), output=(2, 4), input=(1, 2)))


def test_wide_sdram():
    run(TANG_NANO_20K, 125e6, PinDelays(clock=(6, 7), output=(1, 2), input=(0, 1)))
