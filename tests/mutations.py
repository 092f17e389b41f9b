"""Damage small files at random and read them: ``python mutations.py SEED COUNT [FORMAT...]``.

Each format's reader must return a result or raise OpzoError, quickly, and without allocating memory according to
numbers in the file. Failures are printed with the mutation, and the exit code is 1.
"""

import contextlib
import faulthandler
import gzip
import io
import pickle
import resource
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
import torch
from mutated import mutated

from opzo.host.cli.main import main as opzo
from opzo.host.data.data_sets import load_data
from opzo.host.data.events.dense import dense_events
from opzo.host.data.events.event_files import save_events
from opzo.host.data.images.mnist import MNIST_FILES
from opzo.host.training.configure import configure
from opzo.reference.data.data_sets import load
from opzo.reference.runs.results import ReferenceResult
from opzo.reference.runs.run import ReferenceRun
from opzo.reference.runs.training import load_run, start
from opzo.spec.errors import OpzoError

SECONDS, MEMORY = 20, 6 << 30
"""Limits for one read, and for the process; far above the needs of the files, far below what they may declare."""
RNG = np.random.default_rng(0)


def npz(folder: Path) -> Path:
    x = RNG.integers(0, 256, (6, 4, 4), np.uint8)
    classes = np.array(["a", "b", "c"])
    np.savez(folder / "a.npz", x_train=x, y_train=np.arange(6) % 3, x_test=x[:3], y_test=np.arange(3), classes=classes)
    return folder / "a.npz"


def packed_npz(folder: Path) -> Path:
    x = RNG.integers(0, 2, (6, 4, 4), np.uint8)
    y = np.arange(6) % 3
    np.savez_compressed(folder / "a.npz", x_train=x, y_train=y, x_test=x, y_test=y, input="spikes", shape=(1, 4, 4))
    return folder / "a.npz"


def event_npz(folder: Path) -> Path:
    events = dense_events(RNG.integers(0, 2, (5, 4, 12)), np.arange(5) % 3)
    save_events(folder / "a.npz", events, events, "of a test")
    return folder / "a.npz"


def idx(folder: Path, suffix: str = "") -> Path:
    x, y = RNG.integers(0, 256, (5, 4, 4), np.uint8), np.arange(5, dtype=np.uint8)
    for name, array in zip(MNIST_FILES, (x, y, x, y), strict=True):
        content = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
        (folder / f"{name}{suffix}").write_bytes(gzip.compress(content) if suffix else content)
    return folder / f"{MNIST_FILES[0]}{suffix}"


def cifar(folder: Path, *, binary: bool) -> Path:
    base = folder / ("cifar-100-binary" if binary else "cifar-100-python")
    base.mkdir()
    x, y = RNG.integers(0, 256, (2, 3072), np.uint8), [3, 99]
    plain = b"".join(b"\7" + bytes([label]) + row.tobytes() for row, label in zip(x, y, strict=True))
    pickled = pickle.dumps({b"data": x, b"fine_labels": y, b"filenames": ["x"]}, protocol=2)
    for name in ("train", "test"):
        (base / (f"{name}.bin" if binary else name)).write_bytes(plain if binary else pickled)
    return base / ("train.bin" if binary else "train")


def state_dict(folder: Path, *, old: bool) -> Path:
    tensors = {"0.weight": torch.ones(5, 6), "0.bias": torch.ones(5), "1.weight": torch.ones(3, 5)}
    torch.save(tensors, folder / "a.pt", _use_new_zipfile_serialization=not old)
    return folder / "a.pt"


def graph(folder: Path) -> Path:
    one = np.ones(5)
    nodes = {
        "input": nir.Input(np.array([6])),
        "a": nir.Affine(np.ones((5, 6)), one),
        "b": nir.LIF(tau=2e-3 * one, r=2 * one, v_leak=0 * one, v_threshold=one),
        "c": nir.Linear(np.ones((3, 5))),
        "output": nir.Output(np.array([3])),
    }
    nir.write(folder / "a.nir", nir.NIRGraph(nodes, list(pairwise(nodes)), {"dt": 1e-3, "steps": 4, "input": "frame"}))
    return folder / "a.nir"


def damaged(content: bytes, seed: int) -> bytes:
    """``content`` after one or two mutations."""
    ((_, changed),) = mutated(content, 1, seed)
    return changed


def inside(path: Path, seed: int) -> bytes:
    """A valid .zip file with one damaged member, so that the damage is not detected by checksums."""
    file = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(file, "w", archive.infolist()[0].compress_type) as result:
        entries = archive.infolist()
        chosen = seed // 2 % len(entries)
        for number, entry in enumerate(entries):
            content = archive.read(entry)
            result.writestr(entry.filename, damaged(content, seed) if number == chosen else content)
    return file.getvalue()


def read_npz(path: Path) -> None:
    data, config = configure({"data": str(path)})
    data.check(config.network)
    for part in (data.train, data.test):
        list(part.samples())
        part.dense(np.arange(len(part)))


def bring(path: Path) -> None:
    out = path.with_name("out.npz")
    code = opzo(["import", str(path), "--out", str(out), "--lanes", "4"])
    if code not in (0, 2):
        raise AssertionError(f"exit code {code}")


def run_folder(folder: Path) -> Path:
    start(ReferenceRun.of("digits-fc", {"train_samples": 20, "test_samples": 10, "epochs": 1, "batch": 10})).save(
        folder
    )
    return folder / "checkpoint.pt"


def read_run(path: Path) -> None:
    for read in (load_run, ReferenceResult.read):
        with contextlib.suppress(OpzoError):
            read(path.parent)


FORMATS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], object]]] = {
    "npz": (npz, read_npz),
    "packed npz": (packed_npz, read_npz),
    "event npz": (event_npz, read_npz),
    "idx": (idx, lambda path: load_data("mnist", path.parent)),
    "idx.gz": (lambda folder: idx(folder, ".gz"), lambda path: load_data("mnist", path.parent)),
    "cifar python": (lambda folder: cifar(folder, binary=False), lambda path: load("cifar100", str(path.parents[1]))),
    "cifar binary": (lambda folder: cifar(folder, binary=True), lambda path: load("cifar100", str(path.parents[1]))),
    "pt": (lambda folder: state_dict(folder, old=False), bring),
    "old pt": (lambda folder: state_dict(folder, old=True), bring),
    "nir": (graph, bring),
    "run": (run_folder, read_run),
}


def fuzz(name: str, seed: int, count: int) -> int:
    """Number of failures among ``count`` mutations of one format."""
    write, read = FORMATS[name]
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder))
        whole, zipped = path.read_bytes(), zipfile.is_zipfile(path)
        for number in range(count):
            drawn = 1_000_000 * seed + number
            path.write_bytes(whole)
            content = inside(path, drawn) if zipped and number % 2 else damaged(whole, drawn)
            path.write_bytes(content)
            print(name, number, file=sys.stderr, flush=True)
            begin = time.monotonic()
            told = io.StringIO()
            try:
                with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
                    read(path)
                if "\x1b" in told.getvalue():
                    raise AssertionError(f"escape codes are printed: {told.getvalue()!r}")
            except OpzoError as error:
                if not str(error).isprintable():
                    failures += 1
                    print(f"{name} {seed} {number}: not printable: {error!r}")
            except Exception:
                failures += 1
                print(f"{name} {seed} {number}: {traceback.format_exc()}")
            if time.monotonic() - begin > SECONDS:
                failures += 1
                print(f"{name} {seed} {number}: took {time.monotonic() - begin:.1f} s")
    return failures


if __name__ == "__main__":
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    arguments = sys.argv[1:]
    names = arguments[2:] or list(FORMATS)
    sys.exit(1 if sum([fuzz(name, int(arguments[0]), int(arguments[1])) for name in names]) else 0)
