"""The exported core that only infers, simulated from its Verilog and its files of weights."""

import re
from pathlib import Path

import numpy as np
import pytest
from trained_network import Trained, compare, trained

import opzo
from opzo.host.driver.device import Device, open_device
from opzo.hw.export.inference import file_names, write_inference
from opzo.hw.export.memory_files import moved_to_files
from opzo.spec.commands import REQUESTS, Command, RunFlag
from opzo.spec.errors import LinkError, OpzoError
from opzo.spec.memories import Space
from opzo.spec.network import Network
from opzo.spec.registers import COUNTER
from opzo.spec.rules import Rule

SAMPLES = 200


def opened(texts: dict[str, str], folder: Path) -> Device:
    for name, text in texts.items():
        (folder / name).write_text(text)
    return open_device(f"verilog:{folder}")


def exported(network: Trained, folder: Path, lanes_per_group: int = 2) -> Device:
    return opened(write_inference(network.fixed(lanes_per_group)), folder)


@pytest.fixture(scope="module")
def dense() -> tuple[Trained, dict[str, str]]:
    network = trained(Network("20-12-8-5", steps=6, local=1), 4, 16, seed=5)
    return network, write_inference(network.fixed(), 25_000)


def check_refusals(device: Device) -> None:
    """What the chip answers to a host that does not ask before."""
    link = device._link
    run, row = REQUESTS[Command.RUN], bytes(2 * device.limits.lanes)
    with pytest.raises(LinkError, match="refused RUN: NO_LEARNING"):
        link.finish(link.start_run(RunFlag.TRAIN | RunFlag.FRESH, 0, b""))
    with pytest.raises(LinkError, match="refused RUN: BAD_LABEL"):
        link.call(Command.RUN, run.pack(RunFlag.TRAIN, device.limits.classes))
    weights = device.read_weights(0)
    for space in Space:
        with pytest.raises(LinkError, match="refused WRITE_MEMORY: BAD_ADDRESS"):
            link.call(Command.WRITE_MEMORY, REQUESTS[Command.WRITE_MEMORY].pack(space, 0) + row)
        if not space.memory.infers:
            with pytest.raises(LinkError, match="refused READ_MEMORY: BAD_ADDRESS"):
                device.read_memory(space, 0, 1)
    assert np.array_equal(device.read_weights(0), weights)
    registers = device.read_registers(0, COUNTER)
    values = b"".join((value ^ 1).to_bytes(4, "little") for value in registers)
    link.call(Command.WRITE_REGISTERS, REQUESTS[Command.WRITE_REGISTERS].pack(0) + values)
    assert device.read_registers(0, COUNTER) == registers
    assert not any(device.counters().values())


def test_a_dense_network_infers_as_it_was_trained(dense: tuple[Trained, dict[str, str]], tmp_path: Path) -> None:
    network, texts = dense
    with opened(texts, tmp_path) as device:
        assert not device.limits.learning
        assert device.identity.clock_khz == 25_000
        device.configure(network.network, network.rule)
        network.state.write_weights(device)
        compare(network, device, SAMPLES, seed=6)
        check_refusals(device)
        compare(network, device, 5, seed=7)

    # One wrong weight: the bias of the first class, in lane 0 of the last layer.
    name = tmp_path / "opzo_weights_0_0.hex"
    words = name.read_text().split()
    row = network.fixed().layers[-1].weight_base + 8
    words[row] = f"{words[row][:4]}{int(words[row][4:], 16) ^ 0x4000:04x}"
    name.write_text("\n".join(words))
    with open_device(f"verilog:{tmp_path}") as device:
        device.configure(network.network, network.rule)
        with pytest.raises(OpzoError, match="1 of its 45 weights of layer 3 are not those"):
            network.state.write_weights(device)
        with pytest.raises(AssertionError, match="seed 6, sample 0"):
            compare(network, device, SAMPLES, seed=6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "settings", "lanes", "group", "weight_bits", "rule"),
    [
        ("20-12-5", {"input": "spikes", "steps": 20}, 8, 4, 12, Rule.OPZO),
        ("9-6-6-7-3", {"input": "graded", "leak": "7/8", "reset": "zero"}, 4, 2, 16, Rule.DFA),
        ("9-3-2", {"steps": 1}, 4, 2, 16, Rule.OPZO),
        ("300-40-20", {"steps": 8}, 16, 8, 16, Rule.ZO),
        ("1x8x8-4c3-p2-6c3-10", {"steps": 5, "local": 2, "intermediate": 2}, 8, 4, 16, Rule.OPZO),
        ("2x6x6-4c3-p2-8-3", {"input": "spikes", "leak": "1"}, 4, 4, 12, Rule.OPZO),
        ("1x6x6-5c3-6c5-p2-4", {"input": "graded"}, 4, 2, 16, Rule.OPZO),
    ],
)
def test_networks_infer_as_they_were_trained(text, settings, lanes, group, weight_bits, rule, tmp_path: Path) -> None:
    network = trained(Network(text, **settings), lanes, weight_bits, seed=7, rule=rule)
    with exported(network, tmp_path, group) as device:
        device.configure(network.network, network.rule)
        network.state.write_weights(device)
        compare(network, device, SAMPLES, seed=8)


@pytest.mark.slow
def test_weights_of_several_banks(tmp_path: Path) -> None:
    network = trained(Network("700-30-10", steps=4), 16, 16, seed=9)
    fixed = network.fixed()
    assert file_names(fixed.limits)[2:4] == ["opzo_weights_0_0.hex", "opzo_weights_0_1.hex"]
    with exported(network, tmp_path) as device:
        device.configure(network.network, network.rule)
        network.state.write_weights(device)
        compare(network, device, SAMPLES, seed=10)


def test_the_core_and_the_top_read_the_same_files(dense: tuple[Trained, dict[str, str]]) -> None:
    network, texts = dense
    fixed = network.fixed()
    assert list(texts) == file_names(fixed.limits)
    for name in ("opzo_core.v", "opzo_top.v"):
        head = texts[name].partition("\n")[0]
        assert head.startswith(f"// {name[:-2]} of opzo {opzo.__version__}: 4 lanes, {fixed.limits.rows} rows, ")
        assert head.endswith("inference only, network 20-12-8-5, clock 25000 kHz")
    calls = [
        re.findall(r"^ *initial \$readmemh.*$", texts[name], re.MULTILINE) for name in ("opzo_core.v", "opzo_top.v")
    ]
    assert (
        calls[0]
        == calls[1]
        == [
            f'  initial $readmemh("opzo_weights_{group}_0.hex", bank_0, 0, {fixed.limits.rows - 1});'
            for group in range(2)
        ]
    )
    for group in range(2):
        words = texts[f"opzo_weights_{group}_0.hex"].split()
        assert [int(word, 16) for word in words] == fixed.row_words(group, 2)
        assert {len(word) for word in words} == {8}
    # Units of learning are not in it.
    for unit in ("lfsr", "selector", "update", "traces", "credit", "scales", "filler", "scaler", "reciprocal"):
        assert f"__{unit} (" not in texts["opzo_top.v"], unit


def test_words_out_of_order_are_a_bug() -> None:
    module = "module m__lanes__group_0__memory (\n  initial begin\n{}  end\nendmodule"
    good = module.format("    bank_0[0] = 8'd17;\n    bank_0[1] = 8'hfe;\n")
    text, files = moved_to_files(good)
    assert files == {"opzo_weights_0_0.hex": "11\nfe\n"}
    assert 'initial $readmemh("opzo_weights_0_0.hex", bank_0, 0, 1);' in text
    with pytest.raises(AssertionError, match="in order"):
        moved_to_files(good.replace("bank_0[1]", "bank_0[2]"))
