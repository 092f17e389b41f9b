import re
from pathlib import Path

import pytest
from small_chip import SMALL_CHIP

import opzo
from opzo.host.cli.main import main
from opzo.hw.export.verilog import write_verilog


def ports(text: str, module: str) -> set[str]:
    header = re.search(rf"^module {module}\((.*?)\);", text, re.MULTILINE | re.DOTALL)
    assert header is not None
    return {name.strip() for name in header[1].split(",")}


def test_core_and_top_have_stable_names_and_ports() -> None:
    texts = write_verilog(SMALL_CHIP, clock_khz=25_000)
    assert set(texts) == {"core", "top"}
    bytes_in_and_out = {f"{way}__{part}" for way in ("rx", "tx") for part in ("payload", "valid", "ready")}
    assert ports(texts["top"], "opzo_top") == {
        *("clk", "rst", "busy", "received", "refused", "training"),
        *bytes_in_and_out,
    }
    core = ports(texts["core"], "opzo_core")
    assert {"clk", "rst", "link__idle", "link__run__payload", "link__result__valid", "link__register_addr"} <= core
    assert all(name.startswith("link__") for name in core - {"clk", "rst"})


def test_texts_say_what_they_are() -> None:
    texts = write_verilog(SMALL_CHIP, clock_khz=25_000)
    sizes = (
        "4 lanes, 1024 rows, 256 inputs, 8 words, 16 classes, 8 steps, 16 weight_bits, 3 layers, 2 lanes_per_group, "
        "0 gradients, 0 blocks, 1 block, 0 first_words, 0 places"
    )
    assert texts["core"].splitlines()[0] == f"// opzo_core of opzo {opzo.__version__}: {sizes}"
    assert texts["top"].splitlines()[0] == f"// opzo_top of opzo {opzo.__version__}: {sizes}, clock 25000 kHz"
    assert "src = " not in texts["top"]


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
