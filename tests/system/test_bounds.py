"""Sizes are refused before memory is taken."""

import pytest

from opzo.spec.errors import OpzoError
from opzo.system import bounds


def test_more_than_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "free_memory", lambda: 1000)
    bounds.check_memory("a.npz", 500)
    with pytest.raises(OpzoError, match=r"a\.npz needs 0\.0 GB of memory"):
        bounds.check_memory("a.npz", 501)


def test_free_memory_is_counted_in_bytes() -> None:
    assert 1 << 26 < bounds.free_memory() < 1 << 50
