"""Looking for an opzo device at a serial port, at each of the baud rates that it may have."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from opzo.host.driver.serial_port import SerialTransport
from opzo.host.driver.session import ForeignDeviceError, read_identity, sync_once
from opzo.spec.errors import OpzoError
from opzo.spec.protocol import Identity

PROBE_SECONDS = 0.5
"""How long to wait for an answer at each baud rate."""


@dataclass(frozen=True)
class ProbeAnswer:
    """Result of probing a port.

    Attributes
    ----------
    baud : int or None
        Baud rate at which an opzo device answered.
    identity : Identity or None
        Identity of the device; None for one of another protocol version.
    text : str
        The same in words, or why there is no answer.
    """

    baud: int | None
    identity: Identity | None
    text: str


def probe(path: str, bauds: Sequence[int]) -> ProbeAnswer:
    """Look for an opzo device at each of the baud rates of a port; takes up to PROBE_SECONDS for each.

    A session that another program has with the device ends.
    """
    for baud in bauds:
        try:
            transport = SerialTransport(path, baud, write_timeout=PROBE_SECONDS)
            with closing(transport):
                reply = sync_once(transport, PROBE_SECONDS)
        except (OSError, OpzoError) as error:
            return ProbeAnswer(None, None, str(error))
        if reply is not None:
            return _answer(path, baud, reply)
    return ProbeAnswer(None, None, f"no answer at {', '.join(map(str, bauds))} baud")


def _answer(path: str, baud: int, reply: bytes) -> ProbeAnswer:
    try:
        identity = read_identity(reply, path)
    except ForeignDeviceError as error:
        return ProbeAnswer(None, None, str(error))
    except OpzoError as error:
        return ProbeAnswer(baud, None, str(error))
    limits = identity.limits
    weights = f"{limits.rows * limits.lanes:,} weights of {limits.weight_bits} bits"
    text = f"an opzo device answers: {limits.lanes} lanes, {weights}, protocol {identity.version}"
    return ProbeAnswer(baud, identity, text)
