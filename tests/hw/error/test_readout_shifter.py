from opzo.hw.error.readout_shifter import ReadoutShifter
from opzo.sim.benches.bench import run_bench
from opzo.spec.limits import Limits

LIMITS = Limits(lanes=16, rows=1024, inputs=256, words=8, classes=16)


def test_shifter_gives_every_readout():
    run_bench(
        ReadoutShifter(LIMITS),
        name="readout",
        test_module="opzo.sim.benches.error.readout_shifter",
        parameters={"lanes": LIMITS.lanes},
    )
