"""Messages of the Python API besides its results: where they go, and the switch that turns them off."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable, shown

_LOGGER = logging.getLogger("opzo")
_switch = {"verbose": True}


def set_verbose(verbose: bool) -> None:
    """Turn all messages besides results on or off: progress, epochs, warnings, compilation. The default is on.

    They go to the output of the cell in a notebook, else to stderr. The command line has ``--quiet`` instead.
    """
    if not isinstance(verbose, bool):
        raise OpzoError(f"set_verbose takes True or False, not {shown(verbose)}")
    _switch["verbose"] = verbose


def verbose() -> bool:
    """Whether messages are on."""
    return _switch["verbose"]


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


def log(message: str) -> None:
    """Print a message: in the output of the cell in a notebook, else on stderr."""
    print(message, file=sys.stdout if in_notebook() else sys.stderr, flush=True)


@contextmanager
def messages(shown: bool | None = None) -> Iterator[None]:
    """Within the block, print the log records of opzo that the user's own logging does not show.

    ``shown`` overrides the switch. Logging that the user has configured gets the same records as before and is
    restored afterwards. Where messages are off and nothing is configured, warnings are not printed either.
    """
    configured = _LOGGER.getEffectiveLevel() if _LOGGER.hasHandlers() else logging.CRITICAL + 1
    shown = verbose() if shown is None else shown
    if _LOGGER.handlers or configured <= logging.INFO or (configured <= logging.CRITICAL and not shown):
        yield
        return
    level, propagate = _LOGGER.level, _LOGGER.propagate
    handler = _Printer(configured) if shown else logging.NullHandler()
    _LOGGER.addHandler(handler)
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False
    try:
        yield
    finally:
        _LOGGER.removeHandler(handler)
        _LOGGER.setLevel(level)
        _LOGGER.propagate = propagate


class _Printer(logging.Handler):
    """Prints records below the user's level and passes the others to the user's handlers."""

    def __init__(self, configured: int) -> None:
        super().__init__()
        self._configured = configured

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= self._configured and _LOGGER.parent is not None:
            _LOGGER.parent.handle(record)
        else:
            warning = "warning: " if record.levelno >= logging.WARNING else ""
            log(f"opzo: {warning}{printable(record.getMessage())}")
