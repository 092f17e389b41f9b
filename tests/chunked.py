"""Golden core runs split into chunks."""

import numpy as np

from opzo.sim.golden.core import GoldenCore
from opzo.sim.golden.lfsr import LaneLFSRs
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.lfsr import lane_states
from opzo.spec.memories import Space
from opzo.spec.network import Network
from opzo.spec.registers import Reg, network_registers
from opzo.spec.rules import Rule

LENGTHS = (1, 7, 8, 9, 16, 30, 100)
CUTS = (*range(1, HISTORY_STEPS + 1), None)
"""Time steps of every chunk except the last; None: random lengths."""


def cut(steps: int, length: int | None = None, seed: int = 0) -> list[slice]:
    """Slices of ``length`` steps (the last may be shorter), or of random lengths."""
    rng, slices, begin = np.random.default_rng(seed), [], 0
    while begin < steps:
        end = min(steps, begin + (length or int(rng.integers(1, HISTORY_STEPS + 1))))
        slices.append(slice(begin, end))
        begin = end
    return slices


def core(network: Network, rule: Rule, seed: int = 0) -> GoldenCore:
    """A core with random weights, feedback matrices and LFSRs, and rates large enough to change weights."""
    limits = network.limits(4)
    golden = GoldenCore(limits)
    rates = {Reg.ALPHA: 819, Reg.RATE: 200, Reg.ACTIVITY: 21, Reg.DECAY_SHIFT: 6, Reg.LEAK_SHIFT: 4}
    for address, value in (network_registers(network, limits, rule) | rates).items():
        golden.write_register(address, value)
    rng = np.random.default_rng(seed)
    *hidden, _ = layers = golden.layers()
    for matrix, scale in [(golden.weights(one), 3000) for one in layers] + [
        (golden.feedback(one), 900) for one in hidden
    ]:
        matrix[...] = rng.integers(-scale, scale + 1, matrix.shape)
    states = lane_states(seed, limits.lanes)
    for half in range(2):
        golden.write_row(Space.LFSR, half, ((states >> np.uint32(16 * half)) & 0xFFFF).astype(np.uint16))
    return golden


def still(golden: GoldenCore) -> None:
    """Disable stochastic rounding (weights round down), weight decay and changes of the feedback shifts."""
    golden.lfsrs = LaneLFSRs(np.zeros(golden.limits.lanes, np.uint32))
    for register, value in ((Reg.DECAY_SHIFT, 0), (Reg.SAMPLES, 1)):
        golden.write_register(register, value)
