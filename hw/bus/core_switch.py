"""Switch that gives the core to one of two units."""

from typing import Any

from amaranth import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.interface import CoreSignature


class CoreSwitch(wiring.Component):
    """Connect the core with its ``first`` or ``second`` user; the other one sees streams that are never ready or valid.

    Members
    -------
    second_owns : In(1)
        Changes only while the core is idle and neither user offers it anything.
    core : In(CoreSignature)
        The core's side, flipped.
    first, second : Out(CoreSignature)
        As the core shows itself to a user.
    """

    second_owns: In(1)
    core: In(CoreSignature())
    first: Out(CoreSignature())
    second: Out(CoreSignature())

    def elaborate(self, platform: object) -> Module:
        m = Module()
        users = (self.first, ~self.second_owns), (self.second, self.second_owns)
        members: Any = CoreSignature().flatten(self.core)
        for path, member, to_core in members:
            first, second = (_at(user, path) for user, _ in users)
            if member.flow is In:
                m.d.comb += to_core.eq(Mux(self.second_owns, second, first))
                continue
            handshake = path[-1] in ("valid", "ready")
            for user, owns in users:
                m.d.comb += _at(user, path).eq(to_core & owns if handshake else to_core)
        return m


def _at(interface: Any, path: tuple[str | int, ...]) -> Any:
    """Signal of an interface."""
    for name in path:
        interface = getattr(interface, str(name))
    return interface
