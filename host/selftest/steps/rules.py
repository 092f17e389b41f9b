"""Rules test: every learning rule with every kind of input, with random states, settings and runs."""

from opzo.host.selftest.check import Bench, entry_of, golden_device, require_equal
from opzo.host.selftest.difference import compare_with_golden
from opzo.host.selftest.plans import PLANS, case_of
from opzo.spec.memories import Space


def rules_step(bench: Bench) -> str:
    """Run all cases that the device has room for, then compare all of the weight memory."""
    device, limits = bench.device, bench.limits
    golden = golden_device(limits)
    golden.write_memory(Space.WEIGHTS, 0, device.read_memory(Space.WEIGHTS, 0, limits.rows))
    missing: dict[str, None] = {}
    cases = runs = 0
    for number, plan in enumerate(PLANS):
        case, lacking = case_of(plan, number, limits, bench.random(4, number))
        missing |= dict.fromkeys(lacking)
        if case is not None:
            compare_with_golden(device, golden, case)
            cases, runs = cases + 1, runs + case.items
    # Outside of the networks nothing may have changed.
    actual, expected = (each.read_memory(Space.WEIGHTS, 0, limits.rows) for each in (device, golden))
    require_equal(actual, expected, entry_of("WEIGHTS after all cases", "row", "lane"))
    bench.details |= {"cases": cases, "runs": runs}
    bench.lacks(*missing)
    return f"{cases} cases of rules and inputs, {runs} runs"
