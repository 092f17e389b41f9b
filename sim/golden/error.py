"""The error unit: softmax cross entropy with a share of squared error, and the loss, of one time step."""

import numpy as np

from opzo.spec.formats import (
    ERROR,
    EXP2,
    EXP2_FRAC_BITS,
    EXP2_ONE_BITS,
    LOG2,
    LOG2E_FRAC_BITS,
    LOG2E_NUMERATOR,
    LOSS_BITS,
    LOSS_FRAC_BITS,
    MEMBRANE,
)

RECIPROCAL_BITS = 32
"""R = floor(2**RECIPROCAL_BITS / sum of p)."""

_EXPONENT_SHIFT = LOG2E_FRAC_BITS + MEMBRANE.frac_bits - EXP2_FRAC_BITS
_FRACTION = (1 << EXP2_FRAC_BITS) - 1
_PROBABILITY_SHIFT = RECIPROCAL_BITS - ERROR.frac_bits
_HALF = 1 << (_PROBABILITY_SHIFT - 1)
_LABEL_SHIFT = MEMBRANE.frac_bits - ERROR.frac_bits


def error_step(o: np.ndarray, label: int, *, mse_shift: int) -> tuple[np.ndarray, int]:
    """Error and loss of the readouts of one time step.

    ``p = 2**(-(max(o) - o) log2(e))`` from a table, error ``p / sum(p) - y`` plus, where ``mse_shift`` is not 0,
    ``(o - y) 2**-mse_shift``; loss ``-log2(p_y / sum(p))``. Plain integers: faster than NumPy at these sizes.

    Parameters
    ----------
    o : int (classes,)
        Readouts, MEMBRANE.
    label : int
        Class y.
    mse_shift : int
        Share of the squared error, 2**-mse_shift; 0 is none.

    Returns
    -------
    error : int64 (classes,)
        ERROR; probability rounded half up, squared error floored, the sum saturated to +-ERROR.max.
    loss : int
        LOSS_FRAC_BITS fraction bits, saturated to LOSS_BITS.
    """
    outputs: list[int] = o.tolist()
    top = max(outputs)
    exponents = [(top - v) * LOG2E_NUMERATOR >> _EXPONENT_SHIFT for v in outputs]
    powers = [EXP2[x & _FRACTION] >> (x >> EXP2_FRAC_BITS) for x in exponents]
    total = sum(powers)
    reciprocal = (1 << RECIPROCAL_BITS) // total
    errors = [(p * reciprocal + _HALF) >> _PROBABILITY_SHIFT for p in powers]
    errors[label] -= ERROR.one
    if mse_shift:
        for k, v in enumerate(outputs):
            target = ERROR.one if k == label else 0
            errors[k] += ((v >> _LABEL_SHIFT) - target) >> mse_shift
        errors = [max(-ERROR.max, min(ERROR.max, e)) for e in errors]
    # The largest p is 1.0, so the sum has at least EXP2_ONE_BITS + 1 bits.
    whole = total.bit_length() - 1
    fraction = (total >> (whole - EXP2_FRAC_BITS)) & _FRACTION
    log_total = ((whole - EXP2_ONE_BITS) << LOSS_FRAC_BITS) + LOG2[fraction]
    loss = (exponents[label] << (LOSS_FRAC_BITS - EXP2_FRAC_BITS)) + log_total
    return np.array(errors, dtype=np.int64), min(loss, (1 << LOSS_BITS) - 1)
