"""Refusal of a command by the device."""

from opzo.spec.commands import Status


class RefusedError(Exception):
    """A command is answered with ``status`` and has no other effect."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.meaning)
        self.status = status


def require(condition: bool, status: Status) -> None:
    """Raise RefusedError unless ``condition``."""
    if not condition:
        raise RefusedError(status)
