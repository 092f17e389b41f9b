"""Data sets recorded by event cameras, by name; converted once and cached."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from opzo.host.data.events.binning import Binning, bin_recordings
from opzo.host.data.events.event_files import PARTS, load_events, save_events
from opzo.host.data.events.event_samples import Events
from opzo.host.data.events.gesture import CLASSES, LISTS, gesture_files, gesture_recordings, labels_path
from opzo.host.data.recordings.folders import files_of_groups
from opzo.host.data.recordings.readers import read_recording
from opzo.host.data.recordings.recording import RawEvents, Recording, check
from opzo.spec.errors import OpzoError
from opzo.spec.messages import no_such
from opzo.system.bounds import check_memory
from opzo.system.cache import cache_root, cached, content_hash
from opzo.system.paths import DATA_ROOT

CHIP_SIZE = (45, 45)
"""Less than the paper's 48 x 48, so that two channels have no more than 4,096 addresses."""
CIFAR_TEST_SHARE = 10
"""One in this many recordings of each class is a test recording: 1000 of 10000."""
GESTURE_SENSOR = (128, 128)
GESTURE_FOLDER = "DvsGesture"
MS_MAX = 1e12
"""Larger coordinates or times in milliseconds are damage."""
_VERSION = 2
"""Part of the cache key; increase it when the conversion of the same files with the same binning changes."""

LabelledRecordings = Callable[[], Iterator[tuple[Recording, int]]]
"""Function that reads recordings with their labels."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecordedDataSet:
    """Description of a named data set.

    Attributes
    ----------
    folder : str
        Name of its folder, as in tonic.datasets.
    suffix : str
        Suffix of its recordings.
    binning : Binning
        Default binning.
    folders : folders of the training and the test part; the same folder twice: there is no official split
    counts : numbers of recordings in the training and the test part
    page : where to get it
    layout : expected files, for messages
    names : class names in order of label
    label_is_name : the label is the name of the file instead of that of its folder
    """

    folder: str
    suffix: str
    binning: Binning
    folders: tuple[str, str]
    counts: tuple[int, int]
    page: str
    layout: str
    names: tuple[str, ...]
    label_is_name: bool = False


RECORDED_DATA_SETS = {
    "nmnist": RecordedDataSet(
        "NMNIST",
        ".bin",
        Binning(steps=30, bin_us=3000, start_us=0),
        ("Train", "Test"),
        (60000, 10000),
        "the page 'N-MNIST' of Garrick Orchard, or Mendeley Data",
        "NMNIST/Train/0/00002.bin ... NMNIST/Test/9/09999.bin",
        tuple("0123456789"),
    ),
    "dvs-gesture": RecordedDataSet(
        "DVSGesture",
        ".npy",
        Binning(steps=20, split="number", size=CHIP_SIZE),
        ("ibmGestureTrain", "ibmGestureTest"),
        (1077, 264),
        "the page 'DVS128 Gesture Dataset' of IBM Research, or tonic's copy on figshare",
        f"{GESTURE_FOLDER}/{LISTS['train']} and all other files of IBM's DvsGesture.tar.gz, or of tonic's copy "
        "DVSGesture/ibmGestureTrain/user01_fluorescent/0.npy ... DVSGesture/ibmGestureTest/user29_natural/10.npy",
        (
            *("hand clapping", "right hand wave", "left hand wave", "right arm clockwise"),
            *("right arm counter clockwise", "left arm clockwise", "left arm counter clockwise", "arm roll"),
            *("air drums", "air guitar", "other gestures"),
        ),
        label_is_name=True,
    ),
    "cifar10-dvs": RecordedDataSet(
        "CIFAR10DVS",
        ".aedat4",
        Binning(steps=10, split="number", size=CHIP_SIZE),
        ("", ""),
        (9000, 1000),
        "figshare, 'CIFAR10-DVS' as AEDAT 4 (tonic's copy)",
        "CIFAR10DVS/airplane/cifar10_airplane_0.aedat4 ... CIFAR10DVS/truck/cifar10_truck_999.aedat4",
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    ),
}
"""Data sets by name, with the paper's binning (appendix C.2.1)."""


def load_recorded_data(
    name: str, root: str | Path, *, binning: Binning | None = None, crop: int = 0
) -> tuple[Events, Events]:
    """Training and test part of the data set ``name`` of RECORDED_DATA_SETS, from the files in the folder ``root``.

    Nothing is downloaded. ``binning`` replaces that of the paper; ``crop`` that of the binning, if it is not 0.
    """
    if name not in RECORDED_DATA_SETS:
        raise no_such("event data set", name, RECORDED_DATA_SETS)
    if not root:
        raise OpzoError(f"{name} needs the folder of its recordings; give {DATA_ROOT}")
    folder, chosen = Path(root), binning or RECORDED_DATA_SETS[name].binning
    chosen = replace(chosen, crop=crop or chosen.crop)
    files, parts = _parts(name, folder)
    # Includes ctime, because programs that copy or edit a file may restore its mtime.
    status = [(path, path.stat()) for path in files]
    described = [(str(path.relative_to(folder)), it.st_size, it.st_mtime_ns, it.st_ctime_ns) for path, it in status]

    def build(work: Path) -> None:
        logger.info("converting %s in %s; the result is cached", name, folder)
        train, test = (
            bin_recordings(read(), chosen, f"{name} ({part})") for read, part in zip(parts, PARTS, strict=True)
        )
        save_events(work / "events.npz", train, test, f"{name}: {chosen}")

    key = content_hash(_VERSION, name, chosen, folder.absolute(), *described)
    train, test, _ = load_events(cached(cache_root() / f"{name}-{key}", build) / "events.npz")
    names = RECORDED_DATA_SETS[name].names
    return replace(train, names=names), replace(test, names=names)


def _parts(name: str, root: Path) -> tuple[list[Path], list[LabelledRecordings]]:
    """All files, and the functions that read the recordings of the training and the test part."""
    original = root / GESTURE_FOLDER
    if name == "dvs-gesture" and (original / LISTS["train"]).is_file():
        lists = [gesture_files(original, part) for part in PARTS]
        files = [path for paths in lists for recording in paths for path in (recording, labels_path(recording))]
        # Only the lists assign recordings to parts.
        files += [original / LISTS[part] for part in PARTS]
        return files, [partial(gesture_recordings, paths) for paths in lists]
    parts = _files(name, RECORDED_DATA_SETS[name], root)
    return [path for part in parts for path, _ in part], [partial(_recordings, part) for part in parts]


def _files(name: str, data_set: RecordedDataSet, root: Path) -> list[list[tuple[Path, int]]]:
    """Files and labels of the training and the test part."""
    parts = [_labelled(name, data_set, root, folder) for folder in dict.fromkeys(data_set.folders)]
    if len(parts) == 1:
        parts = split_by_class(parts[0], CIFAR_TEST_SHARE)
    sizes = tuple(len(part) for part in parts)
    if 0 in sizes:
        raise OpzoError(
            f"{root / data_set.folder} has {sizes[0]} training and {sizes[1]} test recordings; unpack {name} again"
        )
    if sizes != data_set.counts:
        logger.warning(
            "%s has %d training and %d test recordings; the complete %s has %d and %d",
            root / data_set.folder,
            *sizes,
            name,
            *data_set.counts,
        )
    return parts


def _labelled(name: str, data_set: RecordedDataSet, root: Path, folder: str) -> list[tuple[Path, int]]:
    """Files and labels of one part, which may have been unpacked one folder higher or deeper than usual."""
    usual = root / data_set.folder / folder
    places = [usual, usual / (folder or data_set.folder), root / folder]
    if not folder and not any((root / name).is_dir() for name in data_set.names):
        # Without class folders the root may contain unrelated files.
        places.pop()
    for place in places:
        paths = files_of_groups(place, {data_set.suffix}) if place.is_dir() else []
        if paths:
            break
    else:
        raise OpzoError(
            f"there are no recordings *{data_set.suffix} in {usual}; get {name} from {data_set.page} and unpack it to "
            f"{root}/{data_set.layout}"
        )
    # Gesture files are named by label, in a folder for each person; in other sets each folder is a class.
    labels = {str(label): label for label in range(CLASSES)} if data_set.label_is_name else {}
    labels = labels or {class_name: label for label, class_name in enumerate(data_set.names)}
    texts = [path.stem if data_set.label_is_name else path.parent.name for path in paths]
    wrong = next((path for path, text in zip(paths, texts, strict=True) if text not in labels), None)
    if wrong is not None:
        raise OpzoError(
            f"{place} has files that are not part of {name} ({wrong.relative_to(place)}); remove all but "
            f"{data_set.layout}"
        )
    return [(path, labels[text]) for path, text in zip(paths, texts, strict=True)]


def split_by_class(items: list[tuple[Path, int]], share: int) -> list[list[tuple[Path, int]]]:
    """Training and test part: the last 1/``share`` of the recordings of each class is for testing."""
    parts: list[list[tuple[Path, int]]] = [[], []]
    for label in sorted({label for _, label in items}):
        of_class = [item for item in items if item[1] == label]
        first_test = len(of_class) - len(of_class) // share
        parts[0] += of_class[:first_test]
        parts[1] += of_class[first_test:]
    return parts


def _recordings(items: list[tuple[Path, int]]) -> Iterator[tuple[Recording, int]]:
    for path, label in items:
        yield (_read_gesture_copy(path) if path.suffix == ".npy" else read_recording(path)), label


def _read_gesture_copy(path: Path) -> Recording:
    """Recording from tonic's copy of DVS-Gesture: an array (events, 4) of x, y, polarity and milliseconds."""
    try:
        # Memory-mapped, so that a header that declares more than the file has is an error and allocates nothing.
        events = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(events, np.ndarray):
            raise ValueError("it has several arrays")
    except Exception as error:  # The header is Python source: NumPy passes on errors of its parser and tokenizer.
        raise OpzoError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}; unpack it again") from None
    if events.ndim != 2 or events.shape[1] != 4 or events.dtype.kind not in "iuf":
        raise OpzoError(f"{path} is {events.dtype} of shape {events.shape}, not x, y, polarity and ms; unpack it again")
    check_memory(str(path), 100 * len(events))
    beyond = ~(abs(events.astype(float)) < MS_MAX).all(axis=1)
    if beyond.any():
        raise OpzoError(f"{path}: numbers at event {int(beyond.argmax())} are out of range; unpack it again")
    x, y, polarity, ms = events.astype(np.int64).T
    return check(path, RawEvents(1000 * ms, x, y, polarity, GESTURE_SENSOR, lambda index: f"event {index}"), None)
