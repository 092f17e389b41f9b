"""Long test: the longest decision, with sums at their maximum and counters above 16 bits."""

from collections.abc import Iterator

import numpy as np

from opzo.host.driver.row_layout import pack_rows
from opzo.host.selftest.contents import fit_range
from opzo.host.selftest.device_under_test import DeviceUnderTest, golden_device
from opzo.host.selftest.difference import compare_with_golden
from opzo.host.selftest.mismatch import MismatchError
from opzo.host.selftest.runs_experiment import PlannedRun, RunsExperiment
from opzo.host.selftest.steps.neurons import first_that_fits
from opzo.spec.commands import RunFlag
from opzo.spec.events import Chunk, encode_steps
from opzo.spec.formats import MAX_STEPS, WEIGHT
from opzo.spec.lfsr import lane_states
from opzo.spec.limits import Limits
from opzo.spec.network import Network
from opzo.spec.registers import Counter, LayerReg, Reg, layer_register
from opzo.spec.rules import Input, Rule

CLASSES = 8
MOST_INPUTS = 40
TRAINED_EVERY = 2
WAIT_CYCLES = 4096
"""Maximum cycles of a time step in addition to one for each row-word moved."""


def long_step(dut: DeviceUnderTest) -> str:
    """Run a network in which all neurons fire, with a step size of 0, then check the cycle counters."""
    limits = dut.limits
    case = _case(limits, dut.random(5))
    compare_with_golden(dut.device, golden_device(limits), case, bisect=False)
    _compare_cycles(dut, case)
    dut.details |= {"network": str(case.network), "steps": MAX_STEPS}
    return f"{case.network}: {MAX_STEPS:,} time steps in one decision"


def _case(limits: Limits, random: np.random.Generator) -> RunsExperiment:
    network = first_that_fits(limits, _networks(limits))
    layers = network.layout(limits)
    image = np.zeros((layers[-1].weight_base + layers[-1].words * layers[-1].rows, limits.lanes), np.uint16)
    for layer in layers[:-1]:
        weights = np.zeros((layer.rows, layer.neurons), np.int16)
        # This bias keeps the membrane potential above the threshold in every step.
        weights[-1] = WEIGHT.max
        _put(image, layer.weight_base, weights, limits)
        matrix = random.integers(WEIGHT.min, WEIGHT.max, (network.classes, layer.neurons), np.int16, endpoint=True)
        _put(image, layer.feedback_base, matrix, limits)
    # The first class gets the minimum and all others the maximum; the lowest of equal classes is predicted.
    readout = np.full((layers[-1].rows, layers[-1].neurons), WEIGHT.max, np.int16)
    readout[:, 0] = WEIGHT.min
    _put(image, layers[-1].weight_base, readout, limits)
    settings: dict[int, int] = {Reg.ALPHA: 1, Reg.MSE_SHIFT: 1} | {
        layer_register(slot, LayerReg.FEEDBACK_SHIFT): 7 for slot in range(len(layers) - 1)
    }
    events = min(network.inputs // 2, limits.events // limits.steps)
    runs = []
    for begin in range(0, MAX_STEPS, limits.steps):
        steps = min(limits.steps, MAX_STEPS - begin)
        active = [np.sort(random.permutation(network.inputs)[:events]) for _ in range(steps)]
        flags = RunFlag.FRESH if begin == 0 else RunFlag(0)
        if begin // limits.steps % TRAINED_EVERY == 0:
            flags |= RunFlag.TRAIN
        payload = encode_steps(Chunk.of_steps(active if begin // limits.steps % 8 else [[]] * steps), graded=False)
        runs.append(PlannedRun(payload, 0, flags, settings if begin == 0 else {}))
    lfsr = lane_states(int(random.integers(1 << 31)), limits.lanes)
    return RunsExperiment(f"long decision, {network}", network, Rule.OPZO, 0, 0, image, lfsr, runs)


def _put(image: np.ndarray, row: int, matrix: np.ndarray, limits: Limits) -> None:
    packed = pack_rows(fit_range(matrix, limits), limits.lanes).view(np.uint16)
    image[row : row + len(packed)] = packed


def _networks(limits: Limits) -> Iterator[Network]:
    """Networks in order of decreasing layers and neurons, with most neurons in the last layer."""
    inputs = min(MOST_INPUTS, limits.inputs)
    for depth in range(min(limits.layers, limits.words), 0, -1):
        for words in range(limits.words - depth + 1, 0, -1):
            hidden = (limits.lanes,) * (depth - 1) + (words * limits.lanes,)
            for classes in dict.fromkeys((min(CLASSES, limits.classes), 2)):
                yield Network((inputs, *hidden, classes), MAX_STEPS, input=Input.SPIKES)
    yield Network((1, 1, 2), MAX_STEPS, input=Input.SPIKES)


def _compare_cycles(dut: DeviceUnderTest, case: RunsExperiment) -> None:
    """Check that the cycles are at least the row-words moved, and not many more; the golden model has no cycles."""
    counters = dut.device.counters()
    cycles = counters[Counter.TRAIN_CYCLES] + counters[Counter.TEST_CYCLES]
    work = sum(counters[counter] for counter in (Counter.INTEGRATE, Counter.FEEDBACK, Counter.LEARN))
    most = work + WAIT_CYCLES * counters[Counter.STEPS]
    if not work <= cycles <= most:
        raise MismatchError(f"counters TRAIN_CYCLES and TEST_CYCLES, {case.title}", f"{work} to {most}", str(cycles))
