"""Assertions about commands to the lanes: what the pipeline of the lanes relies on."""

from collections.abc import Sequence
from typing import Any

from amaranth import Cat, Module

from opzo.hw.lanes.lane_command import SHIFT_CHAIN_FIELDS, AfterWord
from opzo.hw.lib.check import check
from opzo.hw.timing import RESULT


def check_command(m: Module, command: Any) -> None:
    """Assert that the fields of ``command`` go together."""
    check(
        m,
        "operation",
        _at_most_one(command.integrate, command.feedback, command.learn),
        "a command has two operations at once",
    )
    check(
        m,
        "update",
        ~command.update | command.feedback | command.learn,
        "a command updates a row that it does not read for a feedback or learn operation",
    )
    check(
        m,
        "history",
        ~(command.update & ~command.learn & command.history.any()),
        "a command updates a feedback entry with credits of a history",
    )
    check(
        m,
        "after_word",
        (command.after_word.as_value() <= AfterWord.CREDIT.value)
        & (command.sums == (command.after_word != AfterWord.NONE)),
        "the use of the sums of a word is unknown, or its field sums is wrong",
    )
    check(
        m,
        "shift_chain",
        _at_most_one(*(command[name] for name in SHIFT_CHAIN_FIELDS)),
        "a command has two uses of the shift chain at once",
    )
    check(
        m,
        "random",
        _at_most_one(command.draw, command.store_low, command.store_high),
        "a random state is drawn from and stored at once",
    )


def check_rows(m: Module, before: Sequence[Any]) -> None:
    """Assert that no row is read between the read and the write of its update.

    ``before[n]`` is the command one cycle before it is at stage n. A row that is read at stage 0 is still the old one
    while a command that writes it is at one of the stages 1 to RESULT - 1.
    """
    command = before[0]
    reads = command.integrate | command.feedback | command.learn
    pending = [
        (earlier.update | earlier.store_row) & (earlier.address == command.address) for earlier in before[1:RESULT]
    ]
    check(m, "rows", ~(reads & Cat(pending).any()), "a row is read before its update is written")


def _at_most_one(*bits: Any) -> Any:
    """Whether at most one of ``bits`` is set."""
    return sum(bits) <= 1
