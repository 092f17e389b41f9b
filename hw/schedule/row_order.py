"""Check of the order of commands that read rows for a local readout, in simulation."""

from typing import Any

from amaranth import Cat, Module, Signal

from opzo.hw.lib.check import check, monitor
from opzo.hw.timing import RESULT


def check_local_rows(m: Module, command: Any, tag: Any) -> None:
    """Assert that no row is read for a local readout between the read and the write of its update.

    Only the tag shows such a read; the lanes check all others. ``command`` and ``tag`` are those of the same cycle. A
    row is read behind stage 0 and written behind stage RESULT.
    """

    def build(m: Module) -> None:
        rows = [Signal.like(command.address, name=f"row_{n}") for n in range(RESULT - 1)]
        updates = Signal(RESULT - 1)
        m.d.sync += [
            updates.eq(Cat(command.update, updates)),
            *(after.eq(before) for after, before in zip(rows, [command.address, *rows], strict=False)),
        ]
        pending = Cat(updates[n] & (row == command.address) for n, row in enumerate(rows))
        check(m, "rows", ~tag.local | ~pending.any(), "a local readout reads a row before its update is written")

    monitor(m, "local_rows", build)
