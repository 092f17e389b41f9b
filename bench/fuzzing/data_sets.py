"""Readers of data sets and checkpoints: .npz files, event files, MNIST, CIFAR."""

import gzip
import io
import pickle
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fuzzing.mutated import damaged
from fuzzing.reader import Read, Reader
from fuzzing.structured import either, in_npz, in_zip
from opzo.host.data.data_sets import load_data
from opzo.host.data.events.dense import dense_events
from opzo.host.data.events.event_files import load_events, save_events
from opzo.host.data.images.cifar import FILES, read_cifar
from opzo.host.data.images.mnist import MNIST_FILES
from opzo.host.driver.state import State
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.config import Config
from opzo.host.training.configure import configure
from opzo.spec.network import Network
from opzo.spec.rules import Input, Rule

Good = tuple[Sequence[bytes], Read]
ZIPPED = either(damaged, in_zip, in_npz, in_npz)


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _saved(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _npz(folder: Path) -> Good:
    """A data set as `opzo train --data FILE` loads it, each sample of it encoded for the chip."""
    rng = _rng()
    x, y = rng.integers(0, 256, (4, 2, 3), np.uint8), np.arange(4) % 3
    spikes = rng.integers(0, 2, (4, 3, 12), np.uint8)
    parts = {"x_train": x, "y_train": y, "x_test": x[:2], "y_test": y[:2]}
    events = {"x_train": spikes, "y_train": y, "x_test": spikes, "y_test": y, "shape": (3, 2, 2)}
    path = folder / "a.npz"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        data, config = configure({"data": str(path)})
        data.check(config.network)
        for part in (data.train, data.test):
            list(part.samples())
            part.dense(np.arange(len(part)))

    good = (
        _saved(**parts, classes=np.array(["a", "b", "c"])),
        _saved(**parts | {"x_train": x.reshape(4, -1) / 2, "x_test": x[:2].reshape(2, -1) / 2}, shape=(1, 2, 3)),
        _saved(**events, input="spikes"),
        _saved(**events | {"shape": (1, 3, 4)}, input="graded"),
    )
    return good, read


def _unlabelled(folder: Path) -> Good:
    """Samples to predict."""
    path, x = folder / "a.npz", _rng().integers(0, 256, (4, 2, 3), np.uint8)

    def read(content: bytes) -> None:
        path.write_bytes(content)
        list(load_data(str(path), labels=False).test.samples())

    return (_saved(x=x), _saved(x_train=x, x_test=x[:1]), _saved(x=x.reshape(4, 6), shape=(6, 1, 1))), read


def _event_file(folder: Path) -> Good:
    path, good = folder / "a.npz", []
    y = np.arange(3)
    for kind, top in ((Input.SPIKES, 1), (Input.GRADED, 200)):
        events = dense_events(_rng().integers(0, top + 1, (3, 4, 12)), y, kind)
        save_events(path, events, events, "of the fuzzer")
        good.append(path.read_bytes())

    def read(content: bytes) -> None:
        path.write_bytes(content)
        for part in load_events(path)[:2]:
            list(part.samples())

    return good, read


def _checkpoint(folder: Path) -> Good:
    """A checkpoint, and the configuration that it resumes with."""
    path, good = folder / "checkpoint.npz", []
    for net, local in (("6-4-3", 1), ("1x4x4-4c3-p2-3", 0)):
        config = Config(net=net, local=local, data="digits", lanes=4)
        network: Network = config.network
        state = State.initial(network, Rule.OPZO, 0, network.limits(4))
        settings = {
            "net": net,
            "local": local,
            "lanes": 4,
            "data": "digits",
            "device": "fast",
            "rate": 100,
            "alpha": 0.1,
        }
        Checkpoint(network, Rule.OPZO, state, settings=settings, class_names=("a", "b", "c")).save(path)
        good.append(path.read_bytes())

    def read(content: bytes) -> None:
        path.write_bytes(content)
        Checkpoint.load(path).config({}, str(path))

    return good, read


def _idx_arrays() -> list[bytes]:
    x, y = _rng().integers(0, 256, (5, 4, 4), np.uint8), np.arange(5, dtype=np.uint8)
    return [
        bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
        for array in (x, y)
    ]


def _idx(folder: Path, *, labels: bool, packed: bool) -> Good:
    """The images or the labels of MNIST."""
    suffix = ".gz" if packed else ""
    pack = gzip.compress if packed else bytes
    contents = [pack(content) for content in _idx_arrays()]
    for name, content in zip(MNIST_FILES, contents * 2, strict=True):
        (folder / f"{name}{suffix}").write_bytes(content)
    path = folder / f"{MNIST_FILES[labels]}{suffix}"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        data = load_data("mnist", folder)
        list(data.train.samples())

    return contents[labels : labels + 1], read


def _cifar(folder: Path, *, binary: bool) -> Good:
    base, (train,), (test,) = FILES["cifar100"][binary]
    (folder / base).mkdir()
    x, labels = _rng().integers(0, 256, (2, 3072), np.uint8), [3, 99]
    plain = b"".join(b"\7" + bytes([label]) + row.tobytes() for row, label in zip(x, labels, strict=True))
    good = [
        plain if binary else pickle.dumps({b"data": x, b"fine_labels": labels, b"filenames": ["x"]}, protocol)
        for protocol in ((2,) if binary else (2, 4))
    ]
    for name in (train, test):
        (folder / base / name).write_bytes(good[0])

    def read(content: bytes) -> None:
        (folder / base / train).write_bytes(content)
        read_cifar("cifar100", folder)

    return good, read


READERS = (
    Reader("npz", _npz, 8_000, ZIPPED),
    Reader("unlabelled", _unlabelled, 8_000, ZIPPED),
    Reader("event-file", _event_file, 8_000, ZIPPED),
    Reader("checkpoint", _checkpoint, 5_000, ZIPPED),
    Reader("idx", lambda folder: _idx(folder, labels=False, packed=False), 12_000),
    Reader("idx-labels", lambda folder: _idx(folder, labels=True, packed=False), 8_000),
    Reader("idx-gz", lambda folder: _idx(folder, labels=False, packed=True), 8_000),
    Reader("cifar-pickle", lambda folder: _cifar(folder, binary=False), 8_000),
    Reader("cifar-binary", lambda folder: _cifar(folder, binary=True), 8_000),
)
