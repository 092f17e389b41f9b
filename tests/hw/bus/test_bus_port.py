import pytest
from amaranth.lib.wiring import Component

from opzo.hw.bus.axi import AxiPort
from opzo.hw.bus.wishbone import WishbonePort
from opzo.sim.benches.bench import run_bench
from opzo.sim.benches.bus.samples import BUS_LIMITS

PORTS: dict[str, type[Component]] = {"axi": AxiPort, "wishbone": WishbonePort}


def run(bus: str, stall: float, rounds: int, seed: int | None = None) -> None:
    run_bench(
        PORTS[bus](BUS_LIMITS),
        name=f"bus-{bus}",
        test_module="opzo.sim.benches.bus.port",
        parameters={"bus": bus, "stall": stall, "rounds": rounds},
        seed=seed,
    )


@pytest.mark.parametrize(("bus", "stall"), [("axi", 0.3), ("wishbone", 0.2)])
def test_bus_equals_golden(bus: str, stall: float) -> None:
    run(bus, stall, 1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 112))
@pytest.mark.parametrize("bus", PORTS)
def test_bus_equals_golden_for_many_seeds(bus: str, seed: int) -> None:
    run(bus, (0.0, 0.1, 0.5)[seed % 3], 20, seed)
