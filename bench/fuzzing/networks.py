"""Readers of networks of other programs, as `opzo import` uses them, and of checkpoints of the reference."""

import contextlib
import io
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
import torch

from fuzzing.mutated import damaged
from fuzzing.reader import Read, Reader
from fuzzing.recordings import in_hdf5
from fuzzing.structured import either, in_zip
from opzo.host.cli.main import main
from opzo.reference.runs.results import ReferenceResult
from opzo.reference.runs.run import ReferenceRun
from opzo.reference.runs.training import load_run, start
from opzo.spec.errors import OpzoError

Good = tuple[Sequence[bytes], Read]
TENSORS: tuple[Callable[[torch.Tensor], object], ...] = (
    *(torch.Tensor.double, torch.Tensor.half, torch.Tensor.bfloat16, torch.Tensor.int, torch.Tensor.bool),
    *(lambda t: t.to(torch.cfloat), torch.Tensor.to_sparse, torch.Tensor.t, torch.Tensor.flatten, torch.Tensor.numpy),
    *(lambda t: t[:0], lambda t: t[0], lambda t: t[..., None], lambda t: t.expand(1 << 20, *t.shape), lambda t: t / 0),
    *(lambda t: t * 1e30, lambda t: t * -torch.inf, lambda t: t.to("meta"), lambda t: {"x": t}, lambda t: [t]),
    *(torch.nn.Parameter, lambda t: t.shape, lambda t: "x", lambda t: None, lambda t: 1 << 70, lambda t: t[:, :1]),
    lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8),
)
"""What takes the place of a tensor."""


def imported(path: Path, *options: str) -> Read:
    """`opzo import` of a file: exit code 0, or 2 with one line that can be printed."""
    arguments = ["import", str(path), "--out", str(path.with_name("out.npz")), "--lanes", "4", *options]

    def read(content: bytes) -> None:
        path.write_bytes(content)
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = main(arguments)
        if "\x1b" in said.getvalue():
            raise AssertionError(f"escape codes are printed: {said.getvalue()!r}")
        if code == 2:
            raise OpzoError(said.getvalue().strip().replace("\n", "; "))
        if code != 0:
            raise AssertionError(f"exit code {code}: {said.getvalue()}")

    return read


def _tensors(kernel: bool) -> dict[str, torch.Tensor]:
    if kernel:
        return {"0.weight": torch.ones(4, 1, 3, 3), "0.bias": torch.ones(4), "1.weight": torch.ones(3, 16)}
    return {"0.weight": torch.ones(5, 6), "0.bias": torch.ones(5), "1.weight": torch.ones(3, 5)}


def _saved(content: object, *, old: bool) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=not old)
    return file.getvalue()


def in_tensors(content: bytes, rng: np.random.Generator) -> bytes:
    """Another state dict: one entry replaced, left out, or under another name."""
    tensors = torch.load(io.BytesIO(content), weights_only=True)
    names = list(tensors)
    name = names[int(rng.integers(len(names)))]
    match int(rng.integers(8)):
        case 0:
            del tensors[name]
        case 1:
            key = ("", "x", 7, "\x1b[31m", "0", "0.weight.x", ("a",), "10.bias", "99999999999999999999.weight")
            tensors[key[int(rng.integers(len(key)))]] = tensors.pop(name)
        case _:
            tensors[name] = TENSORS[int(rng.integers(len(TENSORS)))](tensors[name])
    return _saved(tensors, old=rng.random() < 0.3)


def _state_dict(folder: Path, *, old: bool) -> Good:
    return [_saved(_tensors(False), old=old)], imported(folder / "a.pt")


def _convolution(folder: Path) -> Good:
    return [_saved(_tensors(True), old=False)], imported(folder / "a.pt", "--net", "1x4x4-4c3-p2-3")


def _nir(folder: Path) -> Good:
    one, path = np.ones(5), folder / "a.nir"
    nodes = {
        "input": nir.Input(np.array([6])),
        "a": nir.Affine(np.ones((5, 6)), one),
        "b": nir.LIF(tau=2e-3 * one, r=2 * one, v_leak=0 * one, v_threshold=one),
        "c": nir.Linear(np.ones((3, 5))),
        "output": nir.Output(np.array([3])),
    }
    nir.write(path, nir.NIRGraph(nodes, list(pairwise(nodes)), {"dt": 1e-3, "steps": 4, "input": "frame"}))
    return [path.read_bytes()], imported(path)


def _reference(folder: Path) -> Good:
    run = ReferenceRun.of("digits-fc", {"train_samples": 20, "test_samples": 10, "epochs": 1, "batch": 10})
    start(run).save(folder)
    path = folder / "checkpoint.pt"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        with contextlib.suppress(OpzoError):
            ReferenceResult.read(folder)
        load_run(folder)

    return [path.read_bytes()], read


torch.set_num_threads(1)
READERS = (
    Reader("state-dict", lambda folder: _state_dict(folder, old=False), 800, either(damaged, in_zip, in_tensors)),
    Reader("old-state-dict", lambda folder: _state_dict(folder, old=True), 400, guided=False),
    Reader("convolution", _convolution, 400, either(in_zip, in_tensors), guided=False),
    Reader("nir", _nir, 300, either(damaged, in_hdf5), guided=False),
    Reader("reference", _reference, 100, either(damaged, in_zip), guided=False),
)
