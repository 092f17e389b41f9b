"""Samples of the benches of the bus side, as words: at the bounds of what is allowed, and random ones."""

from collections.abc import Iterator
from random import Random

from opzo.sim.benches.fake_core import FakeCore
from opzo.spec.bus import EVENT_FIELDS, run_word
from opzo.spec.commands import RunFlag
from opzo.spec.limits import Limits
from opzo.spec.registers import Reg
from opzo.spec.rules import Input

BUS_LIMITS = Limits(lanes=4, rows=181, inputs=301, words=5, classes=11, steps=7)
"""Limits that are not powers of two, so that an off-by-one error in a bound is detected; they hold 64-8-10."""
CORNER_CLASSES = 5


def corner_samples(kind: Input) -> Iterator[list[int]]:
    """Words of samples of a kind, for BUS_LIMITS.inputs inputs and CORNER_CLASSES classes."""
    low, ends = EVENT_FIELDS[1].low, EVENT_FIELDS[2].low
    inputs, most = BUS_LIMITS.inputs, min(kind.run_steps, BUS_LIMITS.steps) if kind.events else 0

    def events(*addresses: int, value: int = 1) -> list[int]:
        return [address | value << low for address in addresses]

    step = [1 << ends] if kind.events else []
    run = run_word(RunFlag.OUTPUTS, 1, 7)
    for words in (
        [],
        events(0, inputs - 1),
        events(inputs),
        events(3, 3),
        events(3, 4, 4),
        events(4, 3),
        events(0xFFFF),
        events(1 << 15),
        events(2, value=0),
        [*events(2, value=0), *events(2)],
        [*events(3, value=0), *events(2)],
        events(5, value=255),
        [*events(5), 1 << EVENT_FIELDS[3].low],
    ):
        yield [*words, *step, run]
    for label in (CORNER_CLASSES - 1, CORNER_CLASSES, 255):
        yield [*events(1), *step, run_word(0, label, label)]
    # Time steps: none, too many at once or one by one, exactly as many as may be, and events behind the last end.
    for number in (1, most, most + 1, 15):
        yield [number << ends, run]
        yield [*events(1), *[1 << ends] * number, run]
        yield [*events(1), number << ends, *events(1), run]
    yield [1 << EVENT_FIELDS[3].low | 1 << ends, run]
    # Addresses begin again with each step; there is room for so many events, and for none more.
    for more in (-1, 0, 1):
        second = events(*range(BUS_LIMITS.events - inputs + more))
        yield [*events(*range(inputs)), 1 << ends, *second, 1 << ends, run]


def draw_events(rng: Random, core: FakeCore) -> list[int]:
    """Words of a sample but the last: mostly such that it is run."""
    kind = Input.of_register(core.read_register(Reg.INPUT))
    inputs = min(core.read_register(Reg.INPUTS), BUS_LIMITS.inputs)
    most = min(kind.run_steps, BUS_LIMITS.steps) if kind.events else 0
    words: list[int] = []
    steps = 0
    for _ in range(rng.randint(1, max(1, most))):
        share = rng.choice((0, 0.02, 0.3))
        for address in (address for address in range(inputs) if rng.random() < share):
            words.append(address | rng.choice((0, 1, 255) if kind is Input.FRAME else (1, 255)) << 16)
        if kind.events:
            ends = rng.randint(1, max(1, most - steps)) if rng.random() < 0.3 else 1
            steps += ends
            words.append(ends << EVENT_FIELDS[2].low)
    if rng.random() < 0.3:
        _spoil(rng, words, inputs)
    return words


def _spoil(rng: Random, words: list[int], inputs: int) -> None:
    """Change words to what is not allowed, or hardly."""
    place = rng.randint(0, len(words))
    bad = (
        inputs - 1 | 1 << 16,
        inputs | 1 << 16,
        0x1FFFF,
        0x0F << 24,
        1 << 24,
        0,
        1 << 28 | 1 << 16,
        rng.getrandbits(32),
    )
    words.insert(place, rng.choice(bad))
    if rng.random() < 0.3 and words:
        words.append(words[rng.randrange(len(words))])
    if rng.random() < 0.2:
        # Each step may have all inputs, so that there are more events than fit.
        for _ in range(2):
            words += [address | 1 << 16 for address in range(inputs)] + [1 << 24]


def draw_last(rng: Random, core: FakeCore) -> int:
    """The last word of a sample."""
    classes = core.read_register(Reg.CLASSES)
    label = rng.choice((0, max(0, classes - 1), classes, 255)) if rng.random() < 0.2 else rng.randrange(max(1, classes))
    return run_word(rng.getrandbits(8), label, rng.getrandbits(8)) | rng.getrandbits(8) << 24
