"""Choose a chip for a board and a network, and report before synthesis which resources are short."""

from collections.abc import Iterator
from dataclasses import asdict, replace

from opzo.boards.area import AREAS
from opzo.boards.board import Board
from opzo.boards.speed import lanes_for_link
from opzo.spec.errors import NetworkError, OpzoError
from opzo.spec.formats import WEIGHT
from opzo.spec.layers import BLOCKS, Convolution, Map, Pool
from opzo.spec.layout import all_block_words, all_gradients, all_hidden_words, all_places, all_rows
from opzo.spec.limits import GROUPS, LANES, Limits
from opzo.spec.network import Network

WEIGHT_BITS = (WEIGHT.width, 12)
VENDOR_LANES = 16
"""Default number of lanes on families without a cost model."""
ROW_STEP = 512
"""Rows are rounded up to a multiple of the depth of the shallowest block RAM."""
NAMES = {
    "luts": "look-up tables",
    "flip_flops": "flip-flops",
    "block_rams": "block RAMs",
    "multipliers": "multipliers",
}


def tight_limits(network: Network, lanes: int, weight_bits: int = WEIGHT.width) -> Limits:
    """Smallest limits with ``lanes`` lanes that fit ``network``: rows in steps of ROW_STEP.

    Words are a power of two without convolutions, as small as the network allows with them; so are then the time steps.
    """
    roomy = network.limits(lanes, weight_bits)
    layers = network.layout(roomy)
    words = all_hidden_words(layers)
    limits = replace(
        roomy, rows=-(-all_rows(layers) // ROW_STEP) * ROW_STEP, inputs=network.inputs, classes=network.classes
    )
    if not network.convolutions:
        return replace(limits, words=1 << (words - 1).bit_length())
    return replace(
        limits,
        words=words,
        steps=network.run_steps,
        gradients=all_gradients(layers),
        blocks=all_block_words(layers),
        first_words=layers[0].all_words,
        places=all_places(layers),
    )


def usable(board: Board) -> dict[str, int]:
    """Resources of a board's device that a design may use, by name."""
    return asdict(board.device) | {"luts": int(AREAS[board.family].usable * board.device.luts)}


def shortage(board: Board, limits: Limits) -> str:
    """Resources that a board is short of, as text with numbers; '' if the chip fits or the family has no cost model."""
    if board.family not in AREAS:
        return ""
    have = usable(board)
    needed = asdict(AREAS[board.family].estimate(limits))
    short = [f"{needed[name]:,} {NAMES[name]} of {have[name]:,} usable" for name in needed if needed[name] > have[name]]
    return " and ".join(short)


def choose(
    board: Board,
    network: Network,
    lanes: int | None = None,
    weight_bits: int | None = None,
    *,
    most: bool = False,
    clock_mhz: float | None = None,
) -> Limits:
    """Chip for a board and a network.

    If ``lanes`` is None, the number of lanes is limited to what the board's link can feed at ``clock_mhz`` (None: the
    board's default clock); with ``most`` it is the largest that fits, up to the neurons of the widest hidden layer, or
    of its position. If ``weight_bits`` is None, it is 16 if that fits with any number of lanes, else 12. Groups are the
    smallest that fit, for a network with convolutions the largest.

    OpzoError, with the shortage and what would fit, if nothing fits; NetworkError for an invalid number of lanes.
    """
    limits = closest(board, network, lanes, weight_bits, most=most, clock_mhz=clock_mhz)
    if not (short := shortage(board, limits)):
        return limits
    raise OpzoError(
        f"{network} with {limits.lanes} lanes and {limits.weight_bits}-bit weights does not fit on {board.name}: "
        f"it needs {short}; {_advice(board, network, lanes, weight_bits)}"
    )


def closest(
    board: Board,
    network: Network,
    lanes: int | None = None,
    weight_bits: int | None = None,
    *,
    most: bool = False,
    clock_mhz: float | None = None,
) -> Limits:
    """As `choose`; if nothing fits, the chip that comes closest to the board's resources."""
    if lanes is not None:
        tight_limits(network, lanes)
    if board.family not in AREAS:
        if most:
            raise OpzoError(f"only the vendor's tool knows how many lanes fit on {board.name}; give --lanes a number")
        return tight_limits(network, lanes or VENDOR_LANES, weight_bits or WEIGHT.width)
    cap = LANES[-1] if most else lanes_for_link(network, clock_mhz or board.core_mhz, board.baud, LANES)
    candidates = [limits for limits in _candidates(network, lanes, weight_bits) if lanes or limits.lanes <= cap]
    for limits in candidates:
        if not shortage(board, limits):
            return limits
    return min(candidates, key=lambda limits: _worst(board, limits))


def _worst(board: Board, limits: Limits) -> float:
    """Largest share of any of the board's resources that a chip needs."""
    have, needed = usable(board), asdict(AREAS[board.family].estimate(limits))
    return float(max(needed[name] / max(have[name], 0.5) for name in needed))


def _candidates(network: Network, lanes: int | None, weight_bits: int | None) -> Iterator[Limits]:
    """Possible chips, the best first, the smallest last."""
    widest = max(layer.map.channels for layer in network.layers)
    useful = [count for count in LANES[::-1] if count == LANES[0] or count < 2 * widest]
    for bits in WEIGHT_BITS if weight_bits is None else (weight_bits,):
        for count in useful if lanes is None else (lanes,):
            # Most lanes first: the first that fits is the fastest.
            # The state of convolutions fills the block RAMs of few large groups best.
            for group in GROUPS[::-1] if network.convolutions else GROUPS:
                if group <= count:
                    yield replace(tight_limits(network, count, bits), lanes_per_group=group)


def _advice(board: Board, network: Network, lanes: int | None, weight_bits: int | None) -> str:
    """Suggestion that fits: fewer lanes, else larger blocks of feedback, else a smaller network."""
    for limits in _candidates(network, None, weight_bits):
        if not shortage(board, limits):
            return f"the most that fits is --lanes {limits.lanes} --weight-bits {limits.weight_bits}"
    for block in BLOCKS if network.convolutions else ():
        if block > network.block:
            for limits in _candidates(replace(network, block=block), lanes, weight_bits):
                if not shortage(board, limits):
                    return (
                        "it fits with larger blocks of feedback: "
                        f"--block {block} --lanes {limits.lanes} --weight-bits {limits.weight_bits}"
                    )
    if smaller := largest_network(board, network, lanes, weight_bits):
        return f"the largest that fits is --net {smaller}"
    return "no network fits on this board; choose a larger one"


def largest_network(
    board: Board, network: Network, lanes: int | None = None, weight_bits: int | None = None
) -> Network | None:
    """Network with the widest hidden layers that fits, in the proportions of ``network``; None if none fits."""

    def wide(part: int | Map | Convolution | Pool, share: float) -> int | Map | Convolution | Pool:
        if isinstance(part, Convolution):
            return replace(part, channels=max(1, int(part.channels * share)))
        return max(1, int(part * share)) if isinstance(part, int) else part

    def scaled(share: float) -> Network:
        inputs, *hidden, classes = network.sizes
        return replace(network, sizes=(inputs, *(wide(part, share) for part in hidden), classes))

    def fits(smaller: Network) -> bool:
        try:
            return any(not shortage(board, limits) for limits in _candidates(smaller, lanes, weight_bits))
        except NetworkError:
            return False

    widest = max(layer.map.channels for layer in network.layers[:-1])
    return next((found for width in range(widest, 0, -1) if fits(found := scaled(width / widest))), None)
