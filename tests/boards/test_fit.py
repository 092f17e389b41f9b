import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opzo.boards.area import AREAS, Area
from opzo.boards.board import Family, Resources
from opzo.boards.duration import build_seconds
from opzo.boards.fit import choose, largest_network, shortage, tight_limits, usable
from opzo.boards.registry import BOARDS, find_board
from opzo.boards.speed import lanes_for_link
from opzo.host.cli.main import main
from opzo.spec.errors import NetworkError, OpzoError
from opzo.spec.limits import LANES, Limits
from opzo.spec.network import Network

AREA = Area(
    luts=(1000, 100, 500),
    flip_flops=(500, 0, 300),
    multipliers=(2, 0, 1),
    block_rams=(3, 4, 1, 0.125),
    block_ram=((2048, 9), (1024, 18), (512, 36)),
    convolution=(2, 1.5, 2),
)
BOARD = replace(
    find_board("ulx3s-85f"),
    name="tester",
    device=Resources(luts=20_000, flip_flops=20_000, block_rams=56, multipliers=40),
)
networks = st.builds(
    lambda inputs, hidden, classes: Network((inputs, *hidden, classes)),
    st.integers(1, 1024),
    st.lists(st.integers(1, 300), min_size=1, max_size=3),
    st.integers(2, 20),
)


@pytest.fixture(autouse=True)
def area(monkeypatch):
    monkeypatch.setitem(AREAS, Family.ECP5, AREA)


def test_estimate_adds_up():
    limits = Limits(lanes=16, rows=2560, inputs=2000, words=8, classes=10, lanes_per_group=8)
    # Two banks of 1,024 rows, 128 bits wide (8 blocks of 18 bits each), and one of 512 rows (4 blocks of 36 bits).
    assert AREA.row_memory(limits) == 2 * (8 + 8 + 4)
    assert AREA.estimate(limits) == Resources(
        luts=1000 + 2 * 100 + 16 * 500,
        flip_flops=500 + 16 * 300,
        block_rams=3 + 8 + 2 + 2 + 40,
        multipliers=18,
    )
    assert AREA.row_memory(replace(limits, weight_bits=12)) == 2 * (6 + 6 + 3)
    assert AREA.row_memory(replace(limits, lanes=4, lanes_per_group=4)) == 4 + 4 + 2


@settings(max_examples=200, deadline=None)
@given(network=networks, lanes=st.sampled_from([4, 8, 16, 32, 64, 128]))
def test_tight_limits_hold_the_network_and_hardly_more(network, lanes):
    limits = tight_limits(network, lanes)
    last = network.layout(limits)[-1]
    assert 0 <= limits.rows - (last.weight_base + last.rows * last.words) < 512
    assert limits.inputs == network.inputs
    assert limits.words < 2 * sum(-(-neurons // lanes) for neurons in network.hidden)


@pytest.mark.parametrize("name", ["words", "blocks", "gradients", "block", "steps", "inputs", "classes"])
def test_tight_limits_of_a_network_with_convolutions_leave_nothing(name):
    network = Network("1x12x8-8c3-p2-20c5-p2-7-5", block=4, local=1)
    limits = tight_limits(network, 8)
    assert (limits.words, limits.blocks) == (96 + 24 * 3 + 1, 6 + 2 * 3 + 1)
    assert (limits.gradients, limits.block, limits.steps) == (10 + 201 * 3, 4, 6)
    network.check(limits)
    less = 2 if name == "block" else getattr(limits, name) - 1
    with pytest.raises(NetworkError):
        network.check(replace(limits, **{name: less}))


def test_event_inputs_need_all_steps():
    assert tight_limits(Network("2x8x8-4c3-3", steps=30, input="spikes"), 4).steps == 8


def test_networks_with_convolutions_are_placed_by_their_memories(monkeypatch):
    monkeypatch.undo()
    board = find_board("ulx3s-85f")
    network = Network("1x28x28-8c3-p2-16c3-p2-10")
    chosen = choose(board, network)
    assert not shortage(board, chosen)
    network.check(chosen)
    # Lanes that the channels of a position cannot fill are not used.
    assert choose(board, Network("1x8x8-4c3-p2-6c3-10"), most=True).lanes <= 16
    with pytest.raises(
        OpzoError, match=r"block RAMs of 208 usable; the largest that fits is --net 6x32x32-\d+c3-p2-"
    ) as error:
        choose(board, Network("6x32x32-16c3-p2-32c3-p2-64c3-p2-10"))
    smaller = Network(str(error.value).split()[-1])
    assert not shortage(board, choose(board, smaller))
    sizes = "6x32x32-8c3-p2-16c3-p2-32c3-p2-10"
    with pytest.raises(
        OpzoError, match=r"it fits with larger blocks of feedback: --block 4 --lanes 8 --weight-bits"
    ) as error:
        choose(board, Network(sizes))
    assert not shortage(board, choose(board, Network(sizes, block=4), lanes=8))


@settings(max_examples=50, deadline=None)
@given(network=networks)
def test_chosen_chip_fits_and_no_better_one_does(network):
    try:
        limits = choose(BOARD, network, most=True)
    except OpzoError:
        assert all(shortage(BOARD, tight_limits(network, lanes, bits)) for lanes in (4, 8, 16, 32) for bits in (12, 16))
        return
    network.check(limits)
    assert not shortage(BOARD, limits)
    if limits.lanes < max(network.hidden):
        assert shortage(BOARD, tight_limits(network, 2 * limits.lanes, limits.weight_bits))


def test_what_is_told_is_kept():
    network = Network.parse("64-64-64-10")
    assert choose(BOARD, network, most=True).lanes == 32
    assert choose(BOARD, network, lanes=8).lanes == 8
    assert choose(BOARD, network, weight_bits=12).weight_bits == 12
    # More lanes than neurons would idle.
    assert choose(BOARD, Network.parse("64-9-4"), most=True).lanes == 16


def test_lanes_are_what_the_link_can_feed():
    network = Network.parse("784-64-64-10")
    assert choose(BOARD, network).lanes == 4
    # A faster link, a slower engine and a larger network want more.
    assert choose(replace(BOARD, baud=48_000_000), network).lanes == 16
    assert choose(BOARD, network, clock_mhz=10).lanes == 8
    assert lanes_for_link(Network.parse("784-256-256-10"), 60, 3_000_000, LANES) == 8
    assert lanes_for_link(Network.parse("784-800-800-10"), 60, 12_000_000, LANES) == 128
    # Fewer where those do not fit.
    assert choose(replace(BOARD, baud=10**9, device=replace(BOARD.device, luts=15_000)), network).lanes == 16


def test_the_board_command_of_the_readme_builds_what_the_link_can_feed(monkeypatch):
    monkeypatch.undo()
    board, network = find_board("ulx3s-85f"), Network.parse("784-64-64-10")
    chosen = choose(board, network)
    assert chosen.lanes == 4
    assert build_seconds(board, chosen, wheels=True) < 10 * 60
    most = choose(board, network, most=True)
    assert most.lanes == 64
    assert build_seconds(board, most, wheels=True) > 3600


def test_only_the_vendor_knows_the_most_lanes_of_other_boards():
    assert choose(find_board("arty-a7-35"), Network.parse("64-16-4")).lanes == 16
    with pytest.raises(
        OpzoError, match="only the vendor's tool knows how many lanes fit on arty-a7-35; give --lanes a number"
    ):
        choose(find_board("arty-a7-35"), Network.parse("64-16-4"), most=True)


@pytest.mark.parametrize(
    ("lanes", "wheels", "minutes"), [(4, False, 2), (16, False, 8), (64, False, 24), (4, True, 4), (64, True, 64)]
)
def test_builds_take_about_as_long_as_measured(lanes, wheels, minutes, monkeypatch):
    monkeypatch.undo()
    network = Network.parse("784-128-128-10" if lanes > 4 else "64-16-10")
    board = find_board("ulx3s-85f")
    limits = choose(board, network, lanes)
    assert build_seconds(board, limits, wheels=wheels) / 60 == pytest.approx(minutes, rel=0.35)


def test_narrow_weights_only_where_wide_ones_do_not_fit():
    assert choose(BOARD, Network.parse("784-64-64-10")).weight_bits == 12
    assert choose(BOARD, Network.parse("784-32-32-10")).weight_bits == 16


def test_too_many_lanes_says_what_is_short_and_what_fits():
    with pytest.raises(OpzoError) as error:
        choose(BOARD, Network.parse("64-64-64-10"), lanes=64)
    assert str(error.value) == (
        "64-64-64-10 with 64 lanes and 16-bit weights does not fit on tester: it needs 33,800 look-up tables of 18,000 "
        "usable and 66 multipliers of 40 usable; the most that fits is --lanes 32 --weight-bits 16"
    )


def test_too_large_a_network_says_what_is_short_and_which_one_fits():
    with pytest.raises(
        OpzoError, match=r"needs \d+ block RAMs of 56 usable; the largest that fits is --net \S+$"
    ) as error:
        choose(BOARD, Network.parse("784-256-128-10"))
    network = Network.parse(str(error.value).split()[-1])
    assert not shortage(BOARD, choose(BOARD, network))
    assert network.hidden[1] == network.hidden[0] // 2
    with pytest.raises(OpzoError):
        choose(BOARD, replace(network, sizes=(784, network.hidden[0] + 8, network.hidden[1] + 4, 10)))


def test_board_that_holds_nothing(monkeypatch):
    small = replace(BOARD, device=Resources(luts=1000, flip_flops=1000, block_rams=2))
    assert largest_network(small, Network.parse("64-16-4")) is None
    with pytest.raises(OpzoError, match="no network fits on this board"):
        choose(small, Network.parse("64-16-4"))


def test_lanes_that_cannot_be():
    with pytest.raises(NetworkError, match="power of two"):
        choose(BOARD, Network.parse("64-16-4"), lanes=12)
    with pytest.raises(NetworkError, match="power of two"):
        choose(find_board("arty-a7-35"), Network.parse("64-16-4"), lanes=12)


def test_share_of_look_up_tables_is_left_free():
    for board in (board for board in BOARDS if board.family.open):
        assert usable(board)["luts"] == int(0.9 * board.device.luts)


def test_command_fails_before_anything_is_built(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["build", "--board", "ulx3s-25f", "--net", "784-800-800-10"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(r"opzo: error: 784-800-800-10 .* does not fit on ulx3s-25f: .* --net \S+\n", captured.err)
    assert not list(tmp_path.iterdir())
