"""Training of the golden core is that of a network in floating point."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from chunked import CUTS, core, cut, still

from opzo.spec.commands import RunFlag
from opzo.spec.events import Chunk
from opzo.spec.formats import (
    CREDIT,
    DELTA_SHIFT,
    ERROR,
    MEMBRANE,
    UPDATE_FRAC_BITS,
    WEIGHT,
)
from opzo.spec.network import Network
from opzo.spec.registers import LayerReg, Reg, layer_register
from opzo.spec.rules import Input, Rule


@dataclass
class FloatNetwork:
    """One hidden layer that learns by DFA and OTTT, in floating point, weights in thresholds.

    Halved potentials round down to units of MEMBRANE: so they are the chip's, and no spike or surrogate is another one.

    Attributes
    ----------
    w, readout : (n_in + 1, n_out)
        The last row is the bias, a spike in every step.
    feedback : (classes, n)
    rate, activity : float
        Step size, and the cost of a spike times the step size.
    """

    w: np.ndarray
    readout: np.ndarray
    feedback: np.ndarray
    rate: float
    activity: float
    v: np.ndarray = field(init=False)
    traces: list[np.ndarray] = field(init=False)

    def fresh(self) -> None:
        """Forget all spikes."""
        self.v = np.zeros(self.w.shape[1])
        self.traces = [np.zeros(len(w)) for w in (self.w, self.readout)]

    def run(self, steps: np.ndarray, label: int) -> np.ndarray:
        """Run (steps, inputs), then learn; spikes (steps, n)."""
        spikes, updates = [], [np.zeros_like(w) for w in (self.w, self.readout)]
        for x in steps:
            signal = np.append(x, 1)
            u = np.floor(self.v * MEMBRANE.one / 2) / MEMBRANE.one + signal @ self.w
            s = (u >= 1).astype(float)
            self.v = u - s
            spikes.append(s)
            o = np.append(s, 1) @ self.readout
            error = np.exp(o) / np.exp(o).sum() - np.eye(len(o))[label]
            distance = np.abs(u - 1)
            surrogate = np.where(distance < 2, 2.0 ** -np.floor(4 * distance), 0)
            credits = surrogate * (error @ self.feedback) * self.rate + s * self.activity, error * self.rate
            self.traces = [a / 2 + b for a, b in zip(self.traces, (signal, np.append(s, 1)), strict=True)]
            for update, trace, credit in zip(updates, self.traces, credits, strict=True):
                update += np.outer(trace, credit)
        self.w, self.readout = self.w - updates[0], self.readout - updates[1]
        return np.array(spikes)


@pytest.mark.parametrize("length", CUTS)
def test_training_is_that_of_floating_point(length: int | None) -> None:
    network = Network((3, 3, 2), 20, 0, Input.SPIKES)
    golden = core(network, Rule.DFA, seed=2)
    still(golden)
    rate = 100
    golden.write_register(Reg.RATE, rate)
    golden.write_register(layer_register(0, LayerReg.FEEDBACK_SHIFT), 3)
    layers = golden.layers()
    entries = golden.feedback(layers[0])
    entries &= -8
    factors = entries[0, :, :3] / 8
    # A weight moves by the credit in 2**-UPDATE_FRAC_BITS of a unit, which is error x rate for the read-outs, and what
    # Feedback makes of that for the hidden neurons.
    update_unit = 2.0**-UPDATE_FRAC_BITS / WEIGHT.one
    ours = FloatNetwork(
        w=golden.weights(layers[0])[0, :, :3] / WEIGHT.one,
        readout=golden.weights(layers[1])[0, :, :2] / WEIGHT.one,
        feedback=factors / (1 << DELTA_SHIFT),
        rate=ERROR.one * rate * update_unit,
        activity=golden[Reg.ACTIVITY] * update_unit,
    )
    golden.weights(layers[0])[0, :3] += 1500
    spikes, moved = 0.0, [0.0, 0.0]
    for label in (0, 1, 1, 0):
        x = np.random.default_rng(10 + label).random((20, 3)) < 0.5
        ours.fresh()
        flags = RunFlag.TRAIN | RunFlag.FRESH
        for part in cut(20, length):
            # From the same weights, so that errors are those of one chunk.
            ours.w, ours.readout = (
                golden.weights(layer)[0, :, :n] / WEIGHT.one for layer, n in zip(layers, (3, 2), strict=True)
            )
            before = ours.w, ours.readout
            fired = ours.run(x[part], label)
            golden.run(Chunk.of_steps([np.flatnonzero(row).tolist() for row in x[part]]), label, flags)
            flags = RunFlag.TRAIN
            np.testing.assert_array_equal(golden.membrane[0, :3] / MEMBRANE.one, ours.v)
            np.testing.assert_array_equal(golden.history[0, :3], (1 << np.arange(len(fired))) @ fired)
            spikes += fired.sum()
            steps = len(fired)
            # Errors of the sum, as above, in 2**-UPDATE_FRAC_BITS of a unit; then the weight rounds down.
            rounding = (steps + 1.5 + 2.0**-8 * (2 << (CREDIT.width - 1))) * 2.0**-UPDATE_FRAC_BITS + 1
            # An error is off by 1.5 of its units: 1/2 for its rounding, and for two classes a quarter of what a power
            # is off, 1/64 of an octave and a little for log2(e). Each step counts up to twice, by its trace.
            readout_bound = rounding + 2 * steps * 1.5 * rate * 2.0**-UPDATE_FRAC_BITS
            credit_error = 0.5 + 1.5 * rate * np.abs(factors).sum(0).max() / (1 << DELTA_SHIFT)
            hidden_bound = rounding + 2 * steps * credit_error * 2.0**-UPDATE_FRAC_BITS
            results = zip(layers, before, (ours.w, ours.readout), (hidden_bound, readout_bound), strict=True)
            for k, (layer, old, exact, bound) in enumerate(results):
                actual = golden.weights(layer)[0, :, : exact.shape[1]] / WEIGHT.one
                assert np.abs(actual - exact).max() * WEIGHT.one <= bound
                moved[k] += np.abs(exact - old).max() * WEIGHT.one / bound
    assert 0.1 < spikes / (4 * 20 * 3) < 0.9
    # What they moved, in bounds.
    assert min(moved) > 100
