"""The ``golden`` and ``fast`` devices: a model of the core behind the host's byte transport."""

from collections.abc import Callable

from opzo.sim.fast.core import FastCore
from opzo.sim.golden.core import GoldenCore
from opzo.sim.golden.link import GoldenLink
from opzo.sim.golden.recorder import RecordingCore
from opzo.spec.fixed_network import FixedNetwork
from opzo.spec.limits import Limits
from opzo.spec.protocol import MODELLED


class ModelTransport:
    """A model of the core and its end of the link, in this process.

    Parameters
    ----------
    core : GoldenCore
    clock_khz : int
        Clock to report.
    link : callable
        Creates the core's end of the link; tests replace it to plant a fault.

    Attributes
    ----------
    core : GoldenCore
        The model itself.
    busy : bool
        Always False: everything written has been answered.
    """

    busy = False

    def __init__(
        self,
        core: GoldenCore,
        clock_khz: int = MODELLED,
        link: Callable[[GoldenCore, int], GoldenLink] = GoldenLink,
    ) -> None:
        self.core = core
        self._link = link(self.core, clock_khz)
        self._replies = bytearray()
        self._closed = False

    def write(self, data: bytes) -> None:
        """Send ``data`` and execute the commands in it."""
        if self._closed:
            raise OSError("the simulated device was closed")
        self._replies += self._link.feed(data)

    def read(self, timeout: float) -> bytes:
        """Replies since the last call; never waits."""
        if self._closed:
            raise OSError("the simulated device was closed")
        data = bytes(self._replies)
        self._replies.clear()
        return data

    def close(self) -> None:
        """Release the model; a second call does nothing."""
        self._closed = True


def golden(limits: Limits, clock_khz: int = MODELLED) -> ModelTransport:
    """The golden model built for ``limits``."""
    return ModelTransport(GoldenCore(limits), clock_khz)


def fast(limits: Limits, clock_khz: int = MODELLED) -> ModelTransport:
    """The compiled model built for ``limits``; OpzoError if it must be compiled and no compiler is found."""
    return ModelTransport(FastCore(limits), clock_khz)


def inference(network: FixedNetwork, clock_khz: int = MODELLED) -> ModelTransport:
    """The golden model of a device that only infers, with ``network``."""
    return ModelTransport(GoldenCore(network.limits, network), clock_khz)


def recording(limits: Limits, clock_khz: int = MODELLED) -> ModelTransport:
    """The golden model built for ``limits``, whose core records its runs."""
    return ModelTransport(RecordingCore(limits), clock_khz)
