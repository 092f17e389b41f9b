"""Reading of pickled plain data and byte arrays, without creating objects chosen by the file.

Python's unpickler calls what a file names, and even NumPy's own functions make arrays of pointers of its choosing. Here
names stand for classes of this module, and only the operations that plain data need are there. It is Python's unpickler
in Python: the one in C takes memory by numbers in the file.
"""

import pickle
from collections.abc import Callable
from io import BytesIO
from math import prod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray


class Array:
    """Replacement for ``numpy.ndarray`` that accepts only arrays of unsigned bytes.

    Attributes
    ----------
    values : uint8
    """

    def __init__(self) -> None:
        self.values: NDArray[np.uint8] = np.zeros(0, np.uint8)

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, by_columns, content = state
        plain = type(kind) is _Kind and kind.name in ("u1", "|u1") and type(content) is bytes
        if not plain or type(shape) is not tuple or not all(type(n) is int and n >= 0 for n in shape):
            raise pickle.UnpicklingError("its arrays are not of unsigned bytes")
        if prod(shape) != len(content):
            raise pickle.UnpicklingError(f"an array has {len(content)} bytes for shape {shape}")
        self.values = np.frombuffer(content, np.uint8).reshape(shape, order="F" if by_columns else "C")


class _Kind:
    """Replacement for ``numpy.dtype``."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.name = name.decode("latin-1") if isinstance(name, bytes) else name

    def __setstate__(self, state: Any) -> None:
        """Ignore byte order and alignment, which do not matter for bytes."""


def _array(*_: Any) -> Array:
    return Array()


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """Bytes that Python 3 pickles in Python 2's protocol."""
    if type(text) is not str or encoding not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError("it has texts of an unknown encoding")
    return text.encode("latin-1")


_NAMES = {
    ("numpy", "ndarray"): Array,
    ("numpy", "dtype"): _Kind,
    # The name of the module changed with NumPy 2.
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy._core.multiarray", "_reconstruct"): _array,
    ("_codecs", "encode"): _encode,
}


_OPERATIONS = (
    *(pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.REDUCE),
    *(
        pickle.NONE,
        pickle.NEWTRUE,
        pickle.NEWFALSE,
        pickle.BININT,
        pickle.BININT1,
        pickle.BININT2,
        pickle.LONG1,
        pickle.BINFLOAT,
    ),
    *(pickle.SHORT_BINSTRING, pickle.BINSTRING, pickle.SHORT_BINBYTES, pickle.BINBYTES),
    *(pickle.SHORT_BINUNICODE, pickle.BINUNICODE),
    *(pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
    *(pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS, pickle.EMPTY_DICT),
    *(pickle.BINPUT, pickle.LONG_BINPUT, pickle.BINGET, pickle.LONG_BINGET, pickle.MEMOIZE),
)


class _Dispatch(dict[int, Any]):
    def __missing__(self, operation: int) -> Any:
        raise pickle.UnpicklingError(f"it has the operation {operation:#04x}, which plain data do not need")


class _Unpickler(pickle._Unpickler):
    dispatch: ClassVar[Any] = _Dispatch(
        {operation[0]: pickle._Unpickler.dispatch[operation[0]] for operation in _OPERATIONS}
    )
    stack: list[Any]
    pop_mark: Callable[[], list[Any]]

    def load_build(self) -> None:
        state = self.stack.pop()
        # Only the classes of this module have this method; the default would set arbitrary attributes.
        self.stack[-1].__setstate__(state)

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._fill([key, value])

    def load_setitems(self) -> None:
        self._fill(self.pop_mark())

    def _fill(self, items: list[Any]) -> None:
        # Hashing nested tuples could take arbitrarily long.
        if type(self.stack[-1]) is not dict or not {type(key) for key in items[::2]} <= {bytes, str, int}:
            raise pickle.UnpicklingError("it has keys that are no texts")
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))

    dispatch.update({pickle.BUILD[0]: load_build, pickle.SETITEM[0]: load_setitem, pickle.SETITEMS[0]: load_setitems})

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _NAMES[module, name]


def read_pickle(content: bytes) -> Any:
    """What ``content`` holds: plain data, texts of Python 2 as bytes, `Array` for arrays of bytes.

    A damaged file, or one that asks for more, can raise any Exception.
    """
    return _Unpickler(BytesIO(content), encoding="bytes").load()
