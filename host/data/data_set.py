"""A data set: labelled training and test samples, and the network of its recipe."""

from collections.abc import Sequence
from dataclasses import dataclass

from opzo.host.data.class_names import Names
from opzo.host.data.events.event_samples import Events
from opzo.host.data.images.frames import Frames
from opzo.host.data.recipes import recipe_network
from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable, shown
from opzo.spec.network import Network


@dataclass(frozen=True)
class Data:
    """Training and test samples of a data set, both frames or both events."""

    name: str
    train: Frames | Events
    test: Frames | Events

    def __post_init__(self) -> None:
        for part in (self.train, self.test):
            if not isinstance(part, Frames | Events):
                raise OpzoError(f"Data takes Frames or Events, not {shown(part)}; see opzo.Frames.of(x, y)")
            # Training on one part alone then still finds the recipe of the data set.
            object.__setattr__(part, "data_set", self.name)

    def __repr__(self) -> str:
        return f"<Data '{printable(self.name)}': train {self.train!r}, test {self.test!r}>"

    def network(
        self,
        sizes: Sequence[int] | str | None = None,
        *,
        steps: int | None = None,
        local: int | None = None,
        intermediate: int = 0,
    ) -> Network:
        """Network that ``opzo train`` uses for the data set, or one with other ``sizes``, ``steps`` or ``local``.

        A data set without a recipe gets two hidden layers. ``local`` is the number of hidden layers with a local
        readout, -1 for all; ``intermediate`` is that of `opzo.Network`.
        """
        return recipe_network(self, sizes, steps, local, intermediate)

    def check(self, network: Network) -> None:
        """Raise OpzoError if ``network`` does not fit the data."""
        self.train.check(network, f"{self.name} (training)")
        self.test.check(network, f"{self.name} (test)")

    @property
    def names(self) -> Names:
        """Class names in order of label; empty if unknown."""
        return self.train.names

    @property
    def digest(self) -> int:
        """CRC-32 of the training samples, in order; a resumed run compares it with that of its checkpoint."""
        return self.train.digest

    @property
    def digests(self) -> tuple[int, int]:
        """CRC-32 of the training samples and of the test samples."""
        return self.train.digest, self.test.digest
