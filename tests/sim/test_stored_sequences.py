"""A chip with a sample store, many networks: blocks from the store among all other steps; golden model and gateware."""

from collections.abc import Iterator

import pytest
from small_chip import STORE_CHIP
from wires import Wire, run_on_wires

from opzo.sim.benches.store.sequences import StoredSequence
from opzo.sim.fast.core import FastCore
from opzo.sim.golden.core import GoldenCore
from opzo.sim.model_transport import ModelTransport
from opzo.sim.rtl.transport import RtlTransport
from opzo.spec.limits import Limits

CHIPS = [
    STORE_CHIP,
    Limits(
        lanes=16, rows=500, inputs=40, words=4, classes=20, steps=5, weight_bits=16, lanes_per_group=4, store=30_002
    ),
    Limits(
        lanes=4,
        rows=4096,
        inputs=256,
        words=256,
        classes=12,
        layers=4,
        gradients=1024,
        blocks=128,
        block=4,
        store=1 << 16,
    ),
]


@pytest.fixture
def wires(request: pytest.FixtureRequest) -> Iterator[list[Wire]]:
    """Models and gateware of a chip with a store."""
    limits: Limits = request.param
    rtl = RtlTransport(limits)
    models = [Wire(core.__name__, ModelTransport(core(limits)), limits) for core in (GoldenCore, FastCore)]
    yield [*models, Wire("rtl", rtl, limits)]
    rtl.close()


@pytest.mark.parametrize("wires", [STORE_CHIP], ids=str, indirect=True)
def test_chip_with_a_store_agrees_whatever_came_before(wires: list[Wire]) -> None:
    for seed in range(2):
        run_on_wires(wires, seed, 15, StoredSequence)


@pytest.mark.slow
@pytest.mark.parametrize("wires", CHIPS, ids=str, indirect=True)
def test_chip_with_a_store_agrees_for_long(wires: list[Wire]) -> None:
    for seed in range(100, 110):
        run_on_wires(wires, seed, 40, StoredSequence)
