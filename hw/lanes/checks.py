"""Assertions about commands to the lanes: what the pipeline of the lanes relies on."""

from collections.abc import Sequence
from typing import Any

from amaranth import Cat, Module, Value

from opzo.hw.lanes.lane_command import AfterWord, shift_chain_fields
from opzo.hw.lib.check import check
from opzo.hw.timing import RESULT
from opzo.spec.limits import Limits


def check_command(m: Module, command: Any, limits: Limits) -> None:
    """Assert that the fields of ``command`` go together."""
    operations = _operations(command, limits)
    check(
        m,
        "operation",
        _at_most_one(*operations),
        "a command has two operations at once",
    )
    check(
        m,
        "update",
        ~command.update | Cat(operations[1:]).any(),
        "a command updates a row that it does not read for an operation that changes it",
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
        (command.after_word.as_value() <= (AfterWord.SHARE if limits.gradients else AfterWord.CREDIT).value)
        & (command.sums == (command.after_word != AfterWord.NONE)),
        "the use of the sums of a word is unknown, or its field sums is wrong",
    )
    check(
        m,
        "shift_chain",
        _at_most_one(*(command[name] for name in shift_chain_fields(limits))),
        "a command has two uses of the shift chain at once",
    )
    check(
        m,
        "random",
        _at_most_one(command.draw, command.store_low, command.store_high),
        "a random state is drawn from and stored at once",
    )
    if limits.gradients:
        check(
            m,
            "accumulate",
            ~command.accumulate | (command.learn & ~command.update & ~command.draw),
            "an update of gradients is no update of a learn operation, or it changes the row too",
        )
        check(
            m,
            "quarter",
            ~command.quarter | (command.learn & command.update),
            "a command takes a quarter of an update that is not one of a row that learns",
        )


def check_rows(m: Module, before: Sequence[Any], limits: Limits) -> None:
    """Assert that no row is read between the read and the write of its update.

    ``before[n]`` is the command one cycle before it is at stage n. A row that is read at stage 0 is still the old one
    while a command that writes it is at one of the stages 1 to RESULT - 1.
    """
    command = before[0]
    reads = Cat(_operations(command, limits)).any()
    pending = [
        (earlier.update | earlier.store_row) & (earlier.address == command.address) for earlier in before[1:RESULT]
    ]
    check(m, "rows", ~(reads & Cat(pending).any()), "a row is read before its update is written")


def _operations(command: Any, limits: Limits) -> list[Value]:
    """Operations of a command, integrate first; each reads the row, and all but the first may change it."""
    names = ("integrate", "feedback", "learn", *(("apply",) if limits.gradients else ()))
    return [command[name] for name in names]


def _at_most_one(*bits: Any) -> Any:
    """Whether at most one of ``bits`` is set."""
    return sum(bits) <= 1
