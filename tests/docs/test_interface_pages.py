"""What the pages say about the interfaces of the chip: the driver without opzo works, widths are the gateware's."""

import re
from pathlib import Path

import pytest
from amaranth.lib import data

from opzo.hw.interface import EVENT, MEMORY_COMMAND, RESULT, RUN
from opzo.sim.model_transport import golden
from opzo.spec.frames import Frame
from opzo.spec.limits import Limits

DOCS = Path(__file__).parents[2] / "docs"


def test_driver_without_opzo_talks_to_the_chip() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / "waveforms.md").read_text(), re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(blocks[0], "waveforms.md", "exec"), names)
    everything = bytes(range(256)) + bytes.fromhex("dbdc dbdd c0")
    framed = Frame(7, 0x81, everything).encode()
    assert names["frame"](7, 0x81, everything) == framed  # type: ignore[operator]
    assert list(names["replies"](framed)) == [(7, 0x81, everything)]  # type: ignore[operator]
    chip = golden(Limits(lanes=4, rows=1024, inputs=256, words=8, classes=16))
    chip.write(names["sent"])  # type: ignore[arg-type]
    identity, written, read = names["replies"](chip.read(1))  # type: ignore[operator]
    assert identity[:2] == (0, 0x81)
    assert len(identity[2]) == 51
    assert identity[2][1:5] == b"OPZO"
    assert written == (1, 0x83, b"\0")
    assert read == (2, 0x82, bytes([0, 6, 0, 0, 0]))


@pytest.mark.parametrize(
    ("member", "layout"), [("memory_command", MEMORY_COMMAND), ("event", EVENT), ("run", RUN), ("result", RESULT)]
)
def test_fields_of_streams_have_the_widths_that_the_page_says(member: str, layout: data.StructLayout) -> None:
    page = (DOCS / "machine.md").read_text()
    row = re.search(rf"`{member}` (?:In|Out)\(stream of \{{(.*?)\}}\)", page)
    assert row is not None
    assert row[1] == ", ".join(f"{name} {field.width}" for name, field in layout)
