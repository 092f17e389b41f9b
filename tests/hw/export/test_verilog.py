import json
import re
from pathlib import Path

import pytest
from small_chip import SMALL_CHIP

import opzo
from opzo.host.cli.main import main
from opzo.hw.export.verilog import write_verilog
from opzo.hw.interface import CoreSignature


def ports(text: str, module: str) -> list[str]:
    header = re.search(rf"^module {module} \((.*?)\);", text, re.MULTILINE | re.DOTALL)
    assert header is not None
    return [name.strip() for name in header[1].split(",")]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return write_verilog(SMALL_CHIP, clock_khz=25_000)


def test_core_and_top_have_ports_in_order(texts: dict[str, str]) -> None:
    assert set(texts) == {"core", "top"}
    streams = [f"{way}__{part}" for way in ("rx", "tx") for part in ("payload", "valid", "ready")]
    assert ports(texts["top"], "opzo_top") == ["clk", "rst", *streams, "busy", "received", "refused", "training"]
    core = ports(texts["core"], "opzo_core")
    assert core[:4] == ["clk", "rst", "link__register_addr", "link__register_w_data"]
    members = list(dict.fromkeys(name.split("__")[1] for name in core[2:]))
    assert members == list(CoreSignature().members)


def test_names_are_plain_and_have_sources(texts: dict[str, str]) -> None:
    for text in texts.values():
        # Only names that are keywords need a backslash.
        assert {name[1:] for name in re.findall(r"\\\S+", text)} <= {
            *("begin", "byte", "config", "end", "event", "integer", "local", "new", "release", "wait")
        }
        sources = re.findall(r'\(\* src = "(.*)" \*\)', text)
        assert len(sources) > 5000
        assert {source.split("/")[0] for source in sources} == {"opzo", "amaranth"}
        names = re.findall(r"^  (?:input|output) (?:\[\d+:0\] )?(\w+);$", text, re.MULTILINE)
        unnamed = [name for name in names if re.fullmatch(r"port(_\d+)?", name)]
        assert len(unnamed) < 0.01 * len(names)
        # What Amaranth calls a signal for which it finds no name.
        inner = re.findall(r"^  (?:wire|reg) (?:signed )?(?:\[\d+:0\] )?(\w+)", text, re.MULTILINE)
        assert len(inner) > 5000
        assert not [name for name in inner if re.fullmatch(r"(signal|like|signature__\w+)(_\d+)?", name)]
    runner = texts["core"].partition("\nmodule opzo_core__engine__sequencer__runner (")[2].partition("endmodule")[0]
    assert re.search(r'src = "opzo/hw/schedule/runner.py:\d+" \*\)\n(.*\n)?  reg running = ', runner)
    assert "  opzo_core__engine engine (" in texts["core"]


def test_texts_say_what_they_are(texts: dict[str, str]) -> None:
    sizes = (
        "4 lanes, 1024 rows, 256 inputs, 8 words, 16 classes, 8 steps, 16 weight_bits, 3 layers, 2 lanes_per_group, "
        "0 gradients, 0 blocks, 1 block, 0 first_words, 0 places, 0 store"
    )
    assert texts["core"].splitlines()[0] == f"// opzo_core of opzo {opzo.__version__}: {sizes}"
    assert texts["top"].splitlines()[0] == f"// opzo_top of opzo {opzo.__version__}: {sizes}, clock 25000 kHz"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "file"], "file is a file; give the name of a folder"),
        (["--out", "taken"], "taken/opzo_top.v: it is a folder"),
        (["--clock", "0"], "must be in 0.001..100000, not 0"),
        (["--clock", "inf"], "must be in 0.001..100000, not inf"),
        (["--lanes", "12"], "lanes must be a power of two from 4 to 128, not 12"),
    ],
)
def test_what_cannot_be_is_refused_before_the_work(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("opzo.hw.export.verilog.write_verilog", lambda *arguments: pytest.fail("it was converted"))
    (tmp_path / "file").touch()
    (tmp_path / "taken" / "opzo_top.v").mkdir(parents=True)
    assert main(["verilog", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_json_has_the_files_and_the_sizes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("opzo.hw.export.verilog.write_verilog", lambda *_: {"core": "core\n", "top": "top\n"})
    assert main(["verilog", "--net", "9-4-3", "--lanes", "4", "--out", "there", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["files"] == [f"there/opzo_{name}" for name in ("core.v", "core.core", "top.v", "top.core")]
    assert (facts["network"], facts["lanes"], facts["learning"]) == ("9-4-3", 4, True)
    assert (tmp_path / "there" / "opzo_top.v").read_text() == "top\n"
