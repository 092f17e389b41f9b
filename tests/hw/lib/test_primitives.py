import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.boards.families.ecp5 import ECP5Primitives
from opzo.hw.lib.primitives import Primitives
from opzo.sim.benches.bench import run_bench
from opzo.sim.gates.models import CELLS


class Beside(wiring.Component):
    """Two units with the same inputs; ``output`` names the output to compare."""

    def __init__(self, generic, vendor, output):
        assert generic.signature == vendor.signature
        self.units = {"generic": generic, "vendor": vendor}
        self.output = output
        members = dict(generic.signature.members)
        self.inputs = {name: member for name, member in members.items() if name != output}
        shape = members[output].shape
        super().__init__(
            {
                "i": In(wiring.Signature({name: Out(member.shape) for name, member in self.inputs.items()})),
                "generic": Out(shape),
                "vendor": Out(shape),
            }
        )

    def elaborate(self, platform):
        m = Module()
        for name, unit in self.units.items():
            m.submodules[name] = unit
            # Registered, so that a unit without a register has a clock to be tested with.
            m.d.sync += getattr(self, name).eq(getattr(unit, self.output))
            m.d.comb += [getattr(unit, i).eq(getattr(self.i, i)) for i in self.inputs]
        return m

    @property
    def widths(self):
        return {name: len(getattr(self.i, name)) for name in self.inputs}


def compare(make, output, model, exclusive=()):
    beside = Beside(make(Primitives()), make(ECP5Primitives()), output)
    run_bench(
        beside,
        name="primitives",
        test_module="opzo.sim.benches.lib.primitives",
        parameters={"widths": beside.widths, "exclusive": exclusive},
        models=[CELLS / "ecp5" / f"{model}.v"],
    )


def test_ecp5_multiplier_equals_the_generic_one():
    compare(lambda units: units.multiplier(), "product", "MULT18X18D")


@pytest.mark.parametrize("width", [1, 8, 23, 33])
def test_ecp5_gated_adder_equals_the_generic_one(width):
    compare(lambda units: units.gated_adder(width), "o", "CCU2C", exclusive=["add", "subtract"])
