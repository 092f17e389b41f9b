"""Small network for events, and the names of its classes."""

from opzo.spec.network import Network
from opzo.spec.rules import Input

NETWORK = Network((30, 12, 7, 3), 4, 0, Input.SPIKES)
NAMES = ("fist", "palm", "\x1b[1m[wave]")
