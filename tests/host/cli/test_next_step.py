"""What follows `opzo ports` and `opzo selftest`; the next steps of `opzo build` and `opzo flash` are in their tests."""

import pytest

from opzo.boards.fit import tight_limits
from opzo.host.cli.next_step import after_probe, after_selftest
from opzo.host.training.config import Config
from opzo.spec.network import Network


def chip(network: str, lanes: int):
    """Limits of the chip that `opzo build` makes for a network."""
    return tight_limits(Network.parse(network), lanes)


@pytest.mark.parametrize(
    ("built", "lanes", "given", "line"),
    [
        ("64-64-64-10", 8, {}, "train on it with: opzo train --device serial:/dev/x"),
        ("784-64-64-10", 8, {}, "train on it with: opzo train --device serial:/dev/x"),
        ("64-16-10", 4, {}, "train on it with: opzo train --device serial:/dev/x --net 64-16-10"),
        ("64-32-32-10", 4, {"net": "64-20-10"}, "train on it with: opzo train --device serial:/dev/x --net 64-20-10"),
        ("16-8-4", 4, {}, "it is too small for 64 inputs; what it holds: opzo info --device serial:/dev/x"),
    ],
)
def test_training_has_a_network_that_the_board_holds(built, lanes, given, line):
    config = Config.of({"device": "serial:/dev/x"} | given, "the settings")
    limits = chip(built, lanes)
    assert after_selftest(config, given, limits) == line
    if "--net" in line:
        Config.of({"net": line.split()[-1]}, "the settings").network.check(limits)


def test_simulated_device_is_trained_as_it_was_tested():
    given = {"device": "golden", "net": "64-16-10", "lanes": 4}
    line = after_selftest(Config.of(given, "the settings"), given, chip("64-16-10", 4))
    assert line == "train on it with: opzo train --device golden --net 64-16-10 --lanes 4"


def test_device_that_answered_is_tested_next():
    assert after_probe(["serial:/dev/tty x@3000000", "serial:/dev/y"]) == (
        "test it with: opzo selftest --device 'serial:/dev/tty x@3000000'"
    )
    assert after_probe([]) == "no opzo device answers; program a board with: opzo flash --board BOARD"
