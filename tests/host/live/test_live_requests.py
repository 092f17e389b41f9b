import json
from typing import Any

import pytest

from opzo.host.live.requests import POINTS_MAX, Action, Request, parse_request
from opzo.spec.errors import OpzoError

DOT = [[[0.5, 1]]]


def test_reads_requests() -> None:
    text = json.dumps({"action": "teach", "strokes": DOT, "label": 2, "rate": 60})
    assert parse_request(text, 3) == Request(Action.TEACH, [[(0.5, 1.0)]], 2, 60)
    assert parse_request('{"action": "pause"}', 3) == Request(Action.PAUSE)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("{", "not JSON"),
        ("[" * 50_000, "not JSON"),
        ("[]", "must be an object"),
        ({"action": "erase"}, "cannot ask for 'erase'"),
        ({"action": ["classify"]}, "cannot ask for"),
        ({"action": "classify"}, "draw something first"),
        ({"action": "classify", "strokes": []}, "draw something first"),
        ({"action": "classify", "strokes": [[]]}, "each of one point or more"),
        ({"action": "classify", "strokes": {"0": DOT}}, "must be a list"),
        ({"action": "classify", "strokes": [[[0.5, 1.1]]]}, "two numbers in 0..1"),
        ({"action": "classify", "strokes": [[[0.5, True]]]}, "two numbers in 0..1"),
        ({"action": "classify", "strokes": [[[0.5]]]}, "two numbers in 0..1"),
        ({"action": "classify", "strokes": [[[0, 0]] * (POINTS_MAX + 1)]}, "more than 2,000 points"),
        ('{"action": "classify", "strokes": [[[NaN, 0]]]}', "two numbers in 0..1"),
        ({"action": "teach", "strokes": DOT, "label": 3, "rate": 60}, "label must be in 0..2"),
        ({"action": "teach", "strokes": DOT, "label": 1, "rate": 0}, "rate must be in 1..255"),
        ({"action": "teach", "strokes": DOT, "label": "1", "rate": 9}, "label must be"),
    ],
)
def test_refuses_others(message: Any, text: str) -> None:
    with pytest.raises(OpzoError, match=text):
        parse_request(message if isinstance(message, str) else json.dumps(message), 3)
