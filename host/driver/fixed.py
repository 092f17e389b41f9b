"""The network of a device that only infers, from matrices of weights."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from opzo.host.driver.row_layout import pack_rows, round_entries
from opzo.spec.fixed_network import FixedNetwork, inference_limits
from opzo.spec.formats import WEIGHT
from opzo.spec.network import Network
from opzo.spec.rules import Rule


def fixed_network(
    network: Network,
    rule: Rule,
    weights: Sequence[NDArray[np.int16]],
    lanes: int,
    weight_bits: int = WEIGHT.width,
    lanes_per_group: int = 2,
) -> FixedNetwork:
    """Network for the smallest device with ``lanes`` lanes, rounded to ``weight_bits`` bits.

    ``weights`` are (n_in + 1, n_out) for each layer, Q3.12, the last row the bias. NetworkError where no device holds
    the network.
    """
    limits = inference_limits(network, lanes, weight_bits, lanes_per_group)
    rows = [pack_rows(round_entries(matrix, limits.low_bits), lanes) for matrix in weights]
    return FixedNetwork.of(network, rule, limits, rows)
