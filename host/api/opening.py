"""The Python API: devices and data sets by name."""

from pathlib import Path

from opzo.host.data import data_sets
from opzo.host.data.data_sets import Data
from opzo.host.driver.device import Device, open_device
from opzo.host.report.verbosity import messages
from opzo.spec.errors import OpzoError
from opzo.spec.formats import WEIGHT
from opzo.spec.messages import shown
from opzo.spec.network import Network


def connect(
    device: str = "rtl", network: Network | None = None, *, lanes: int = 16, weight_bits: int = WEIGHT.width
) -> Device:
    """Open a device: ``fast``, ``golden``, ``rtl``, ``serial:/dev/ttyUSB0[@baud]`` or ``uio:/dev/uio0``.

    A simulated device is built for ``network``, with ``lanes`` lanes and ``weight_bits`` (16 or 12) bits per weight. A
    board keeps its own sizes. Raises OpzoError where the device is absent, busy, of another version, or too small.
    """
    with messages():
        return open_device(device, network, lanes, weight_bits)


def load_data(name: str | Path, root: str | Path = "", *, crop: int = 0, contrast: bool | None = None) -> Data:
    """Load a data set by name; ``root`` is the folder of its files, if it has any.

    ``digits``; ``mnist`` and ``fashion-mnist`` (four IDX files, gzipped or not); ``cifar10`` (its python or binary
    version); the synthetic recordings ``saccade-digits`` and ``saccade-mnist`` (of the same files); the recordings
    ``nmnist``, ``dvs-gesture`` and ``cifar10-dvs``; an ``.npz`` file of images or of events.

    ``crop`` uses only the events of so many pixels, in both directions, in the middle of the sensor.
    ``contrast`` makes two channels of each colour of images, above and below its mean over the training images; None:
    only for ``cifar10``.
    """
    if not isinstance(name, str | Path):
        raise OpzoError(
            f"a data set must be named by a string or Path, not {shown(name)}; "
            f"choose {', '.join(data_sets.DATA_SETS)} or a file"
        )
    with messages():
        return data_sets.load_data(str(name), root, crop=crop, contrast=contrast)
