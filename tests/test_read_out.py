from opzo.hw.read_out import ReadOutShifter
from opzo.sim.bench import run_bench
from opzo.spec.network import Limits

LIMITS = Limits(lanes=16, rows=1024, inputs=256, words=8, classes=16)


def test_shifter_gives_every_read_out():
    run_bench(
        ReadOutShifter(LIMITS),
        name="read_out",
        test_module="opzo.sim.tb_read_out",
        parameters={"lanes": LIMITS.lanes},
    )
