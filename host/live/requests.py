"""Requests of a page, read from the text of its messages."""

import json
from dataclasses import dataclass
from enum import Enum
from typing import Any

from opzo.host.live.drawing import Strokes
from opzo.spec.errors import OpzoError
from opzo.spec.messages import shown
from opzo.spec.values import whole_number

MESSAGE_BYTES_MAX = 65_536
"""Most bytes of a message of a page."""
POINTS_MAX = 2_000
"""Most points of a drawing, of all strokes together."""
RATE_MAX = 255


class Action(Enum):
    """What a page asks for."""

    CLASSIFY = "classify"
    """Answer to the drawing."""
    TEACH = "teach"
    """Train on the drawing with the given class until that is the answer."""
    TEST = "test"
    """Accuracy on the test samples."""
    PAUSE = "pause"
    """Pause training."""
    CONTINUE = "continue"
    """Continue training."""


@dataclass(frozen=True)
class Request:
    """A request of a page; ``strokes`` for CLASSIFY and TEACH, ``label`` and ``rate`` (step size) for TEACH."""

    action: Action
    strokes: Strokes = ()
    label: int = 0
    rate: int = 0


def parse_request(text: str, classes: int) -> Request:
    """Request in a message; OpzoError says what is wrong with it. ``classes`` is their number in the network."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        raise OpzoError("a message of the page is not JSON; reload the page") from None
    if not isinstance(fields, dict):
        raise OpzoError(f"a message of the page must be an object, not {shown(fields)}; reload the page")
    try:
        action = Action(fields.get("action"))
    except ValueError:
        raise OpzoError(f"a page cannot ask for {shown(fields.get('action'))}; reload the page") from None
    if action not in (Action.CLASSIFY, Action.TEACH):
        return Request(action)
    strokes = _strokes(fields.get("strokes"))
    if action is Action.CLASSIFY:
        return Request(action, strokes)
    label = whole_number("label", fields.get("label"), 0, classes - 1)
    return Request(action, strokes, label, whole_number("rate", fields.get("rate"), 1, RATE_MAX))


def _strokes(value: Any) -> Strokes:
    """Strokes of a drawing; OpzoError unless there are some, of points in 0..1."""
    strokes = value if isinstance(value, list) and value else None
    if strokes is None or not all(isinstance(stroke, list) and stroke for stroke in strokes):
        raise OpzoError("a drawing must be a list of strokes, each of one point or more; draw something first")
    if sum(map(len, strokes)) > POINTS_MAX:
        raise OpzoError(f"the drawing has more than {POINTS_MAX:,} points; clear it and draw with fewer strokes")
    return [[_point(point) for point in stroke] for stroke in strokes]


def _point(value: Any) -> tuple[float, float]:
    if isinstance(value, list) and len(value) == 2 and all(type(x) in (int, float) and 0 <= x <= 1 for x in value):
        return float(value[0]), float(value[1])
    raise OpzoError(f"a point of a drawing must be two numbers in 0..1, not {shown(value)}; reload the page")
