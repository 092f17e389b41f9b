"""What an address of the bus means."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from amaranth import Array, Const, Value

from opzo.spec import bus
from opzo.spec.bus import CONTROL_REGISTERS
from opzo.spec.limits import Limits
from opzo.spec.protocol import IDENTITY, Identity

HALF_PAGE = 5
"""Bits of the number of a register in the identity, or among the registers of the bus."""


@dataclass(frozen=True)
class Place:
    """Conditions on the address of a word, one of which is 1 at most.

    Attributes
    ----------
    core, identity, control, row, to_ring, from_ring : Value
        It is in this part of the map.
    at : dict of str to Value
        It is that register of the bus's own, by name.
    number : Value
        Number in the identity, or among the bus's own registers.
    """

    core: Any
    identity: Any
    control: Any
    row: Any
    to_ring: Any
    from_ring: Any
    at: dict[str, Any]
    number: Any

    @classmethod
    def of(cls, word: Any) -> "Place":
        """Place of the address ``word`` of a word."""
        page = word[6:]
        control = (page == bus.CONTROL >> 8) & word[HALF_PAGE]
        return cls(
            core=word[8:] == bus.CORE >> 10,
            identity=(page == bus.IDENTITY_BASE >> 8) & ~word[HALF_PAGE],
            control=control,
            row=page == bus.ROW >> 8,
            to_ring=word[8:] == bus.LINK_IN >> 10,
            from_ring=word[8:] == bus.LINK_OUT >> 10,
            at={name: control & (word == register.address >> 2) for name, register in CONTROL_REGISTERS.items()},
            number=word[:HALF_PAGE],
        )

    def chosen(self, contents: Mapping[str, Value]) -> Value:
        """Content of the bus's own register at this place; 0 of those that ``contents`` leaves out."""
        return self._select([contents.get(name, Const(0)) for name in CONTROL_REGISTERS])

    def identified(self, limits: Limits, clock_khz: int) -> Value:
        """Field of the identity at this place."""
        identity = Identity.of(limits, clock_khz)
        return self._select([Const(getattr(identity, field.name), 32) for field in IDENTITY.fields])

    def _select(self, values: list[Value]) -> Value:
        padding: list[Value] = [Const(0)] * ((1 << HALF_PAGE) - len(values))
        chosen: Value = Array(values + padding)[self.number]
        return chosen
