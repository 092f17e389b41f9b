"""What the Python API says besides its results, where it says it, and the one switch that turns it off."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable, shown

_LOGGER = logging.getLogger("opzo")
_switch = {"verbose": True}


def set_verbose(verbose: bool) -> None:
    """Switch on or off all that opzo says besides results: progress, epochs, warnings, what is compiled.

    It is said in the output of the cell in a notebook, else on stderr; it is on at the start. The command line has
    ``--quiet`` instead.
    """
    if not isinstance(verbose, bool):
        raise OpzoError(f"set_verbose takes True or False, not {shown(verbose)}")
    _switch["verbose"] = verbose


def verbose() -> bool:
    """Whether the switch is on."""
    return _switch["verbose"]


def in_notebook() -> bool:
    """Whether this runs in the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


def tell(message: str) -> None:
    """Say a line: in the output of the cell in a notebook, else on stderr."""
    print(message, file=sys.stdout if in_notebook() else sys.stderr, flush=True)


@contextmanager
def messages(told: bool | None = None) -> Iterator[None]:
    """Meanwhile, tell what the log of opzo says and the user's own logging would not show, where ``told``.

    ``told`` is the switch, unless given. What the user has set up gets what it got before, and is as before afterwards.
    Where nothing is told and nothing is set up, warnings of the log are not printed either.
    """
    configured = _LOGGER.getEffectiveLevel() if _LOGGER.hasHandlers() else logging.CRITICAL + 1
    told = verbose() if told is None else told
    if _LOGGER.handlers or configured <= logging.INFO or (configured <= logging.CRITICAL and not told):
        yield
        return
    level, propagate = _LOGGER.level, _LOGGER.propagate
    handler = _Teller(configured) if told else logging.NullHandler()
    _LOGGER.addHandler(handler)
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False
    try:
        yield
    finally:
        _LOGGER.removeHandler(handler)
        _LOGGER.setLevel(level)
        _LOGGER.propagate = propagate


class _Teller(logging.Handler):
    """Tells records below the user's level, hands the others on to the user's handlers."""

    def __init__(self, configured: int) -> None:
        super().__init__()
        self._configured = configured

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= self._configured and _LOGGER.parent is not None:
            _LOGGER.parent.handle(record)
        else:
            warning = "warning: " if record.levelno >= logging.WARNING else ""
            tell(f"opzo: {warning}{printable(record.getMessage())}")
