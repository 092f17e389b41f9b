"""A reader of what strangers may give, and the judgement of how it ends on one input."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fuzzing.mutated import Change, damaged
from opzo.spec.errors import OpzoError

Read = Callable[[bytes], object]


@dataclass(frozen=True)
class Reader:
    """One reader with its good inputs.

    Parameters
    ----------
    name : str
    prepare : callable
        Takes an empty folder; returns good inputs, and the function that reads one, which may use the folder.
    count : int
        Inputs of a campaign.
    change : callable
        Makes a new input of a good or an earlier one.
    guided : bool
        Whether coverage chooses the inputs that are changed further. Of no use where a library in C does the reading.
    """

    name: str
    prepare: Callable[[Path], tuple[Sequence[bytes], Read]]
    count: int
    change: Change = damaged
    guided: bool = True


class FindingError(Exception):
    """What a reader must not do. The text says what it did; ``place`` is the same for findings of one cause."""

    def __init__(self, text: str, place: str) -> None:
        super().__init__(text)
        self.place = place


def judge(read: Read, content: bytes) -> OpzoError | None:
    """The error by which a reader refuses an input, None if it accepts it; FindingError if it does anything else.

    Memory that the reader asks for and does not get is a finding, also where an OpzoError follows; so is an error whose
    text has characters that cannot be printed.
    """
    try:
        read(content)
    except KeyboardInterrupt:
        raise
    except OpzoError as error:
        if chain := [cause for cause in _chain(error) if isinstance(cause, MemoryError)]:
            raise FindingError(f"asks for too much memory: {error!r}", _place(chain[-1])) from error
        if not str(error).isprintable():
            raise FindingError(f"its message cannot be printed: {error!r}", _place(error)) from error
        return error
    # Libraries in Rust raise what is no Exception.
    except BaseException as error:
        raise FindingError(f"{type(error).__name__}: {error}"[:500], _place(error)) from error
    return None


def _chain(error: BaseException | None) -> list[BaseException]:
    """An exception and those during whose handling it was raised."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _place(error: BaseException) -> str:
    """Type of an exception, and the innermost line of opzo on its way."""
    place, trace = "", error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        name = trace.tb_frame.f_globals.get("__name__", "")
        if name.startswith("opzo.") or not place:
            place = f"{name}:{trace.tb_lineno} {code.co_name}"
        trace = trace.tb_next
    return f"{type(error).__name__} at {place}"
