from dataclasses import asdict

import pytest
from amaranth.lib.wiring import Component

from opzo.host.data.data_sets import load_data
from opzo.hw.bus.axi import AxiPort, AxiTop
from opzo.hw.bus.wishbone import WishbonePort, WishboneTop
from opzo.sim.benches.bench import run_bench
from opzo.sim.benches.bus.samples import BUS_LIMITS
from opzo.spec.limits import Limits
from opzo.spec.network import Network

PORTS: dict[str, type[Component]] = {"axi": AxiPort, "wishbone": WishbonePort}
TOPS: dict[str, type[Component]] = {"axi": AxiTop, "wishbone": WishboneTop}
STEPS = 6


def run(component: Component, bus: str, network: str, limits: Limits, count: int, stall: float) -> None:
    digits = load_data("digits").train
    run_bench(
        component,
        name=f"bus-{bus}" if isinstance(component, AxiPort | WishbonePort) else f"chip-{bus}",
        test_module="opzo.sim.benches.bus.digits",
        parameters={
            "bus": bus,
            "complete": isinstance(component, AxiTop | WishboneTop),
            "limits": asdict(limits),
            "network": network,
            "steps": STEPS,
            "stall": stall,
            "frames": digits.x[:count].tolist(),
            "labels": digits.y[:count].tolist(),
        },
    )


@pytest.mark.parametrize("bus", PORTS)
def test_golden_core_learns_digits_through_a_bus(bus: str) -> None:
    run(PORTS[bus](BUS_LIMITS), bus, "64-8-10", BUS_LIMITS, 20, 0.2)


@pytest.mark.slow
@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("bus", TOPS)
def test_chip_learns_200_digits_through_a_bus(bus: str, stall: float) -> None:
    network = "64-16-10"
    limits = Network(network, STEPS).limits(4, 12)
    run(TOPS[bus](limits, 50_000), bus, network, limits, 200, stall)
