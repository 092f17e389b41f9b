"""Words for messages."""

import pytest

from opzo.spec.messages import did_you_mean, printable


@pytest.mark.parametrize(
    ("word", "hint"), [("mnits", " (did you mean 'mnist'?)"), ("MNIST", " (did you mean 'mnist'?)"), ("zebra", "")]
)
def test_the_nearest_name_is_proposed(word: str, hint: str) -> None:
    assert did_you_mean(word, ("digits", "mnist")) == hint


def test_control_characters_are_escaped() -> None:
    assert printable("a\x1b[1mb\n\u202ec") == "a\\x1b[1mb\\n\\u202ec"
    assert printable("Zürich 手") == "Zürich 手"
