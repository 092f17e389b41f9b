"""Files of float networks as others write them, and as nobody should: state dicts, NIR graphs, options of import."""

import struct
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
import torch
from test_exchange import checkpoint
from torch import Tensor, nn

from opzo.host.cli.main import main
from opzo.host.exchange.nir_file import read_nir
from opzo.host.exchange.nir_graph import from_nir
from opzo.host.exchange.pytorch import from_state_dict
from opzo.host.exchange.torch_file import read_state_dict
from opzo.host.training.checkpoint import Checkpoint
from opzo.spec.errors import OpzoError
from opzo.system import bounds

W, V = torch.linspace(-1, 1, 30).reshape(5, 6), torch.linspace(-1, 1, 15).reshape(3, 5)


def saved(path: Path, content: Any) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(content() if callable(content) and not isinstance(content, nn.Module) else content, path)
    return path


@pytest.mark.parametrize(
    "weight",
    [
        W.bfloat16(),
        W.half(),
        W.double(),
        (8 * W).to(torch.int8),
        nn.Parameter(W),
        W.t().contiguous().t(),
        torch.stack([W, W], 2)[..., 1],
        torch.view_as_complex(torch.stack([W, -W], 2)).conj().imag,
        torch.ones(1, 1).expand(5, 6),
    ],
)
def test_weights_of_any_real_kind_are_read(weight: Tensor, tmp_path: Path) -> None:
    path = saved(tmp_path / "net.pt", OrderedDict({"0.weight": weight, "1.weight": V}))
    first, _ = from_state_dict(read_state_dict(path)).layers
    np.testing.assert_array_equal(first.weight, weight.detach().double().numpy())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: {"0.weight": W.to_sparse()}, "'0.weight' is sparse"),
        (lambda: {"0.weight": W.to_sparse_csr()}, "'0.weight' is sparse"),
        (lambda: {"0.weight": torch.quantize_per_tensor(W, 0.01, 0, torch.qint8)}, "'0.weight' is quantized"),
        (lambda: {"0.weight": W.to("meta")}, "'0.weight' has no values"),
        (lambda: {"0.weight": torch.complex(W, W)}, "'0.weight' is complex"),
        (lambda: {"0.weight": W > 0}, "'0.weight' is of type bool"),
        (lambda: {"0.weight": W, "0.bias": torch.ones(5).to_sparse()}, "'0.bias' is sparse"),
        (lambda: {"0.weight": torch.nested.nested_tensor([W, W])}, "'0.weight' is nested"),
        (lambda: {"0.weight": torch.tensor(1.0)}, r"layer '0' has weights of shape \(\)"),
        (lambda: {"0.weight": torch.ones(0, 6)}, r"layer '0' has weights of shape \(0, 6\)"),
        (lambda: {"0.weight": 1e38 * W, "1.weight": V}, "weights beyond 1e.30"),
        (lambda: {"\033[31mred": W}, r"'.x1b\[31mred' is not a weight or bias"),
        (lambda: {0: W, 1: V}, "its key 0 is not a tensor name"),
        (lambda: {("a", "b"): W}, r"its key \('a', 'b'\) is not a tensor name"),
        (lambda: {"epoch": 3, "model": {"0.weight": W}}, "its entry 'epoch' is of type int"),
        (
            lambda: {"model": {"0.weight": W}},
            r"its entry 'model' is a dictionary; write torch.save\(content\['model'\], path",
        ),
        (lambda: [W, V], "of tensors but of type list"),
        (lambda: W, "of tensors but of type Tensor"),
        (lambda: None, "of tensors but of type NoneType"),
        (lambda: nn.Linear(2, 2), "it holds objects such as a complete module"),
        (lambda: {}, "no linear layer"),
    ],
)
def test_odd_state_dicts_are_refused_in_one_line(
    content: Callable[[], Any], message: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    path = saved(tmp_path / "net.pt", content)
    with pytest.raises(OpzoError, match=message) as caught:
        from_state_dict(read_state_dict(path))
    assert str(caught.value).isprintable()
    assert not recwarn.list


def scripted(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/constants.pkl", b"")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.touch(), "it is empty"),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
        (lambda path: path.mkdir(), "it is not a file"),
        (scripted, "TorchScript"),
        (lambda path: path.write_bytes(b"\x80\x02}q\0."), "it is damaged"),
        (lambda path: path.write_bytes(saved(path, {"0.weight": W}).read_bytes()[:-400]), "it is damaged"),
        (lambda path: None, ""),
    ],
)
def test_files_that_are_no_state_dict_say_why(write: Callable[[Path], Any], message: str, tmp_path: Path) -> None:
    write(tmp_path / "net.pt")
    with pytest.raises(OpzoError, match=f"{tmp_path / 'net.pt'}.*{message}"):
        read_state_dict(tmp_path / "net.pt")


def test_small_files_that_unpack_to_much_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = saved(tmp_path / "a.pt", {"0.weight": torch.ones(1, 1).expand(1 << 20, 1 << 20), "1.weight": V})
    with pytest.raises(OpzoError, match=r"'0.weight' of shape \(1048576, 1048576\) needs"):
        from_state_dict(read_state_dict(large))
    monkeypatch.setattr(bounds, "free_memory", lambda: 1000)
    monkeypatch.setattr(torch, "load", pytest.fail)
    with pytest.raises(OpzoError, match=r"b.pt needs"):
        read_state_dict(saved(tmp_path / "b.pt", {"0.weight": torch.ones(300)}))


@pytest.mark.parametrize("suffix", [".pth", ".PT"])
def test_other_suffixes_of_state_dicts(suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint().save(tmp_path / "net.npz")
    file, out = str(tmp_path / f"net{suffix}"), str(tmp_path / "out.npz")
    assert main(["export", str(tmp_path / "net.npz"), file]) == 0
    assert main(["import", file, "--out", out, "--threshold", "1"]) == 0
    assert Checkpoint.load(Path(out)).network.sizes == (12, 9, 7, 4)


def graph_file(path: Path) -> Path:
    """A graph 6-5-3 with neurons like the chip's for time steps of a millisecond."""
    ones = np.ones(5)
    nodes = {
        "input": nir.Input(np.array([6])),
        "0": nir.Affine(W.numpy(), np.zeros(5)),
        "1": nir.LIF(tau=2e-3 * ones, r=2 * ones, v_leak=0 * ones, v_threshold=ones, v_reset=0 * ones),
        "2": nir.Affine(V.numpy(), np.zeros(3)),
        "output": nir.Output(np.array([3])),
    }
    names = list(nodes)
    nir.write(path, nir.NIRGraph(nodes, list(pairwise(names)), {"dt": 1e-3}))
    return path


def changed(path: Path, place: str, value: Any) -> Path:
    graph_file(path)
    with h5py.File(path, "r+") as file:
        del file["node"][place]
        if value is not None:
            file["node"][place] = value
    return path


@pytest.mark.parametrize("scalars", [("tau", "r", "v_leak", "v_threshold", "v_reset"), ("tau", "r"), ("v_threshold",)])
@pytest.mark.parametrize("shape", [(), (1,)])
def test_scalars_hold_for_all_neurons(scalars: tuple[str, ...], shape: tuple[int, ...], tmp_path: Path) -> None:
    path = graph_file(tmp_path / "net.nir")
    expected = [layer.weight for layer in from_nir(read_nir(path)).layers]
    with h5py.File(path, "r+") as file:
        for key in scalars:
            value = file["node/nodes/1"][key][0]
            del file["node/nodes/1"][key]
            file["node/nodes/1"][key] = np.full(shape, value)
        del file["node/nodes/0/bias"]
        file["node/nodes/0/bias"] = np.zeros(shape)
    for layer, weight in zip(from_nir(read_nir(path)).layers, expected, strict=True):
        np.testing.assert_array_equal(layer.weight, weight)


@pytest.mark.parametrize("kind", ["LI", "CubaLIF", "CubaLI"])
def test_other_neurons_with_scalars_are_refused_by_name(kind: str, tmp_path: Path) -> None:
    path = graph_file(tmp_path / "net.nir")
    keys = {
        "LI": ("tau", "r", "v_leak"),
        "CubaLI": ("tau_mem", "tau_syn", "r", "v_leak", "w_in"),
        "CubaLIF": ("tau_mem", "tau_syn", "r", "v_leak", "v_threshold", "w_in"),
    }[kind]
    with h5py.File(path, "r+") as file:
        del file["node/nodes/1"]
        node = file["node/nodes"].create_group("1")
        node["type"] = kind
        for key in keys:
            node[key] = 1.0
    with pytest.raises(OpzoError, match=f"node '1' is {kind}(: | with tau_syn)"):
        from_nir(read_nir(path))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("nodes/1/tau", np.ones(4), "node '1' is LIF and cannot be read"),
        ("nodes/1/tau", None, "node '1' is LIF and cannot be read"),
        ("nodes/1/tau", "soon", "node '1' has a parameter of type"),
        ("nodes/1/tau", np.full(5, np.nan), "node '1' has parameters that are not finite"),
        ("nodes/1/type", "LIFE", "node '1' is LIFE and cannot be read"),
        ("nodes/1/type", "\033[31m", "node '1' is .x1b.31m and cannot be read"),
        ("nodes/1/type", None, "node '1' is untyped and cannot be read"),
        ("nodes/0/weight", np.ones((5, 6), complex), "node '0' has a parameter of type complex128"),
        ("nodes/0/weight", 1.0, "node '0' is Affine and cannot be read"),
        ("nodes/0/weight", np.ones((2, 5, 6)), "layer '0' has weights of shape"),
        ("nodes/0/weight", np.ones((5, 7)), r"node 'input' has shape \(6,\), but the adjacent layer '0' has 7"),
        ("nodes/output/shape", np.array([4]), r"node 'output' has shape \(4,\), but the adjacent layer '2' has 3"),
        ("edges", np.array([[b"input", b"nowhere"]]), "an edge refers to the node 'nowhere'"),
        ("edges", np.array([b"input"]), "is not a NIR graph"),
        ("nodes", 3, "is not a NIR graph"),
        ("type", None, "untyped node"),
        ("metadata/dt", 0.0, "time step of 0 s"),
        ("metadata/dt", np.nan, "time step of nan s"),
        ("metadata/dt", np.ones(3), "'dt' in the graph's metadata is .* not a number"),
        ("metadata", 3, "is not a NIR graph"),
    ],
)
def test_graphs_that_cannot_be_name_the_node(place: str, value: Any, message: str, tmp_path: Path) -> None:
    path = changed(tmp_path / "net.nir", place, value)
    with pytest.raises(OpzoError, match=message) as caught:
        from_nir(read_nir(path))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("steps", [0, -1, 2.5, 1e300, np.inf, np.nan])
def test_steps_in_the_metadata_are_checked(steps: float, tmp_path: Path) -> None:
    graph = read_nir(graph_file(tmp_path / "net.nir"))
    graph.metadata["steps"] = steps
    with pytest.raises(OpzoError, match="'steps' in the graph's metadata is"):
        from_nir(graph)


def external_link(file: h5py.File) -> None:
    file["node/nodes/0/weight"] = h5py.ExternalLink("other.nir", "/node/nodes/0/weight")


def soft_link(file: h5py.File) -> None:
    file["node/nodes/0/weight"] = h5py.SoftLink("/node")


def cycle(file: h5py.File) -> None:
    file["node/nodes/0/weight"] = file["node"]


def external_storage(file: h5py.File) -> None:
    file.create_dataset("node/nodes/0/weight", (5, 6), "f8", external=[("/etc/hostname", 0, 240)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((5, 6), "f8")
    layout[:] = h5py.VirtualSource("other.nir", "x", (5, 6))
    file.create_virtual_dataset("node/nodes/0/weight", layout)


def huge(file: h5py.File) -> None:
    file.create_dataset("node/nodes/0/weight", (1 << 24, 1 << 24), "f8", chunks=(16, 16), compression="gzip")


def empty(file: h5py.File) -> None:
    file["node/nodes/0/weight"] = h5py.Empty("f8")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (external_link, "is a link to another place"),
        (soft_link, "is a link to another place"),
        (cycle, "is in two places, or inside itself"),
        (external_storage, "has its data in another file"),
        (virtual, "has its data in another file"),
        (huge, r"net.nir needs 2,\d+,\d+.\d GB"),
        (empty, "has no data"),
    ],
)
def test_nothing_outside_the_file_or_beyond_memory_is_read(
    write: Callable[[h5py.File], None], message: str, tmp_path: Path
) -> None:
    path = changed(tmp_path / "net.nir", "nodes/0/weight", None)
    with h5py.File(path, "r+") as file:
        write(file)
    with pytest.raises(OpzoError, match=message):
        read_nir(path)


@pytest.mark.parametrize(
    "options",
    [
        *(["--one", value] for value in ("0", "-1", "nan", "inf", "x")),
        *(["--mean", value] for value in ("nan", "inf", "1e300")),
        *(["--std", value] for value in ("0", "-1", "nan", "1e-320")),
        *(["--threshold", value] for value in ("0", "nan", "1e-320")),
        *(["--neuron-leak", value] for value in ("nan", "-0.5", "2")),
        *(["--steps", value] for value in ("0", "-1", "9", "99999999999999999999")),
        *(["--lanes", value] for value in ("0", "5", "-4", "1e9")),
        ["--seed", "-1"],
        ["--weight-bits", "13"],
    ],
)
def test_options_at_their_edges(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    path, out = saved(tmp_path / "net.pt", {"0.weight": W, "1.weight": V}), tmp_path / "out.npz"
    assert main(["import", str(path), "--out", str(out), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("opzo: error: ")
    assert not out.exists()
    assert not recwarn.list


def test_outputs_are_checked_before_anything_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["import", "absent.pt", "--out"], ["export", "absent.npz"]):
        for out, message in (
            (tmp_path / "no" / "x.pt", "there is no folder"),
            (tmp_path / ("x" * 300 + ".pt"), "too lo"),
        ):
            assert main([*command, str(out)]) == 2
            assert message in capsys.readouterr().err


def test_numbers_in_damaged_old_files_are_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "old.pt"
    torch.save({"0.weight": W}, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    count = struct.pack("<q", 30)
    assert whole.count(count) == 1
    path.write_bytes(whole.replace(count, struct.pack("<q", 1 << 50)))
    with pytest.raises(OpzoError, match="it is damaged"):
        read_state_dict(path)
