"""C++ compilers that are missing, the wrong one, or say what is not text: one sentence."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from opzo.sim.compile import cxx
from opzo.sim.compile.cxx import BuildError, check_executable, find_cxx, load_library, run_tool
from opzo.spec.errors import OpzoError


@pytest.fixture(autouse=True)
def fresh():
    find_cxx.cache_clear()
    yield
    find_cxx.cache_clear()


def script(folder: Path, text: str) -> str:
    path = folder / "c++"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("compiler", "message"),
    [
        ("/bin/true", r"'/bin/true' is not a C\+\+ compiler; set CXX"),
        ("/bin/false", r"'/bin/false' does not run \(.*exit status 1.*\); set CXX"),
        ("/bin/cat", r"'/bin/cat' does not run"),
        (
            "g++ 'unbalanced",
            r"CXX=g\+\+ 'unbalanced cannot be read \(No closing quotation\); set it to a C\+\+ compiler",
        ),
        ("/tmp", r"'/tmp' does not run \(Permission denied\); set CXX"),
        ("/absent/c++ -O2", r"'/absent/c\+\+ -O2' does not run \(No such file or directory\); set CXX"),
        ("/etc/passwd", r"'/etc/passwd' does not run \(Permission denied\)"),
    ],
)
def test_what_is_no_compiler_is_refused(compiler: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", compiler)
    with pytest.raises(OpzoError, match=message):
        find_cxx()


@pytest.mark.parametrize("text", ["", "  "])
def test_empty_setting_is_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", text)
    assert find_cxx().command


def test_compiler_that_does_not_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cxx, "PATIENCE", 0.2)
    monkeypatch.setenv("CXX", script(tmp_path, "exec sleep 30"))
    with pytest.raises(OpzoError, match=r"does not run \(.*timed out"):
        find_cxx()


def test_messages_that_are_not_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = r"printf 'Version gr\366\337er\n'"
    command = script(
        tmp_path, rf'case "$*" in --version) {said};; *-dM*) echo "#define __cplusplus 1";; *) {said}; exit 1;; esac'
    )
    monkeypatch.setenv("CXX", command)
    assert find_cxx().command == (command,)
    with pytest.raises(
        BuildError, match=r"failed to build the simulation: Version gr.*; set CXX to another C\+\+ compiler"
    ):
        run_tool([command, "x.cpp"], tmp_path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("exit 3", "exit code 3 without a message"),
        ("kill -9 $$", "exit code -9 without a message"),
        ("echo one; echo 'x: error: two'; echo three; exit 1", "x: error: two"),
        ("echo one; echo three; exit 1", "three"),
        ('echo "$LC_ALL"; exit 1', "C"),
    ],
)
def test_reason_of_a_failed_step(text: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.ISO-8859-1")
    with pytest.raises(BuildError) as error:
        run_tool([script(tmp_path, text)], tmp_path)
    assert f"failed to build the simulation: {reason}; use --device golden" in str(error.value)


def test_tool_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"'/absent/verilator_bin' failed .* No such file or directory"):
        run_tool(["/absent/verilator_bin"], tmp_path)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
def test_compiler_of_c_leaves_the_cxx_library_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "gcc")
    source = '#include <stdexcept>\nextern "C" void f(int n) { if (n) throw std::runtime_error("n"); }\n'
    (tmp_path / "x.cpp").write_text(source)
    run_tool([*find_cxx().command, "-shared", "-fPIC", "-o", "x.so", "x.cpp"], tmp_path)
    with pytest.raises(
        OpzoError,
        match=r"library built by 'gcc' cannot be loaded \(.*undefined symbol.*\); set CXX to a C\+\+ compiler",
    ):
        load_library(tmp_path / "x.so")


def test_folder_where_programs_may_not_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Mounted:
        f_flag = os.ST_NOEXEC

    check_executable(tmp_path)
    monkeypatch.setattr(cxx.os, "statvfs", lambda path: Mounted)
    monkeypatch.setenv("OPZO_CACHE", "/the/cache")
    with pytest.raises(OpzoError, match=r"programs in /the/cache cannot be run, .* noexec; set OPZO_CACHE"):
        check_executable(tmp_path)
    with pytest.raises(OpzoError, match="mounted noexec"):
        load_library(tmp_path / "absent.so")


def test_full_disk_is_the_cache_s_fault(tmp_path: Path) -> None:
    message = os.strerror(errno.ENOSPC)
    with pytest.raises(OSError, match=message) as error:
        run_tool([script(tmp_path, f"echo 'fatal error: x.o: {message}'; exit 1")], tmp_path)
    assert (error.value.errno, error.value.filename) == (errno.ENOSPC, str(tmp_path))
