from opzo.hw.gradients.step import GradientStep
from opzo.sim.benches.bench import run_bench


def test_step_matches_golden() -> None:
    run_bench(GradientStep(), name="gradient-step", test_module="opzo.sim.benches.gradients.step")
