"""A block of samples of the device's sample store, as it is sent, and its result."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from opzo.spec.commands import ANSWERS, REQUESTS, SETTING, Command, Status, StoredFlag
from opzo.spec.errors import LinkError
from opzo.spec.registers import Counter

_COUNTER_WORDS = 2 * len(Counter)
_ANSWER = ANSWERS[Command.RUN_STORED]


@dataclass(frozen=True)
class ImageShape:
    """How the inputs of an image lie: ``height`` rows of ``row`` inputs each, ``pixel`` inputs a pixel."""

    height: int
    row: int
    pixel: int


@dataclass(frozen=True)
class StoredBlock:
    """Samples ``first`` to ``first + count - 1`` of the order of a set of samples (``opzo.spec.store``).

    Attributes
    ----------
    table, samples : int
        Address of the set's table, and its entries.
    first, count : int
        Positions in the order.
    seed : int
        Of order and shifts; 0: as stored.
    train, answers : bool
        Whether to learn; whether prediction and loss of each sample are wanted (at most MOST_ANSWERS samples).
    shift : int
        Most pixels by which images are shifted.
    shape : ImageShape
        Where ``shift`` is not 0.
    registers : dict of int to int
        Registers to write before the first sample.
    """

    table: int
    samples: int
    first: int
    count: int
    seed: int = 0
    train: bool = False
    answers: bool = False
    shift: int = 0
    shape: ImageShape = ImageShape(0, 0, 0)
    registers: dict[int, int] = field(default_factory=dict)

    def pack(self) -> bytes:
        """Payload of RUN_STORED."""
        flags = (StoredFlag.TRAIN if self.train else 0) | (StoredFlag.ANSWERS if self.answers else 0)
        shape = self.shape.height, self.shape.row, self.shape.pixel
        block = REQUESTS[Command.RUN_STORED].pack(
            *(flags, self.shift, *shape, self.table, self.samples, self.seed, self.first, self.count)
        )
        return block + b"".join(SETTING.pack(*setting) for setting in sorted(self.registers.items()))

    @property
    def answer_words(self) -> int:
        """Words of the reply after its fields, if no sample ends the block."""
        return _COUNTER_WORDS + (2 * self.count if self.answers else 0)


@dataclass(frozen=True)
class BlockResult:
    """Sums over the samples of a block.

    Attributes
    ----------
    samples, correct, loss : int
        As in `Result`; the loss is summed over the samples.
    counters : int64 (Counter,)
        The device's counters after the block.
    answers : int64 (samples, 2)
        Prediction and loss of each sample; no rows unless requested.
    """

    samples: int
    correct: int
    loss: int
    counters: NDArray[np.int64]
    answers: NDArray[np.int64]

    @classmethod
    def of(cls, fields: tuple[int, ...], words: NDArray[np.uint32], block: StoredBlock) -> "BlockResult":
        """Result in a reply to ``block``; LinkError where a sample ended the block."""
        end, samples, correct, low, high = fields
        if end or samples != block.count:
            reason = Status(end).name if end in Status._value2member_map_ else f"status {end}"
            raise LinkError(
                f"the device stopped at stored sample {samples + 1} of a block of {block.count}: {reason}; the sample "
                "store was changed by another program, or belongs to another network"
            )
        pairs = words[:_COUNTER_WORDS].astype(np.int64).reshape(-1, 2)
        answers = words[_COUNTER_WORDS:].astype(np.int64).reshape(-1, 2)
        return cls(samples, correct, low | high << 32, pairs[:, 0] | pairs[:, 1] << 32, answers)
