"""A RISC-V in a simulated SoC trains digits on the chip behind Wishbone: python examples/litex/soc.py [--digits 20].

The golden model trains first. Its start, samples, results and end become a C header, with which the program on the
CPU (program.c) writes the network, trains it, and compares every result and every row. It prints PASSED, or what
differs.

docs/waveforms.md has what it needs.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from litex.build.sim import SimPlatform
from litex.build.sim.config import SimConfig
from litex.gen import LiteXModule
from litex.soc.integration.builder import Builder
from litex.soc.integration.common import get_mem_data
from litex.soc.integration.soc import SoCRegion
from litex.soc.integration.soc_core import SoCCore
from litex.soc.interconnect import wishbone
from litex.tools.litex_sim import _io
from migen import Cat, ClockDomain, ClockSignal, Instance, Replicate, ResetSignal

import opzo
from opzo.host.driver.device import Device
from opzo.host.driver.devices import connection
from opzo.host.driver.link import Link
from opzo.host.driver.state import State
from opzo.host.report.bus_map import bus_header
from opzo.host.training.config import Config
from opzo.host.training.schedule_registers import schedule_registers
from opzo.hw.export.verilog import bus_module, bus_verilog
from opzo.spec.bus import event_words, result_head, run_word
from opzo.spec.commands import RunFlag, Status
from opzo.spec.events import Chunk
from opzo.spec.limits import Limits
from opzo.spec.memories import Space
from opzo.spec.rules import Rule

HERE = Path(__file__).parent
CLOCK_HZ = 1_000_000
OPZO_BASE = 0x90000000
ROM_BYTES = 0x20000
CROSS = "riscv64-unknown-elf-gcc"


class Recorder(Device):
    """A golden device that keeps what is written to it."""

    def __init__(self, limits: Limits) -> None:
        super().__init__("golden", Link(connection("golden", limits)))
        self.registers: list[tuple[int, int]] = []
        self.rows: list[tuple[Space, int, np.ndarray]] = []

    def write_registers(self, values: dict[int, int]) -> None:
        """Write registers, and keep them."""
        super().write_registers(values)
        self.registers += [(address, int(value)) for address, value in sorted(values.items())]

    def write_memory(self, space: Space, address: int, rows: np.ndarray) -> None:
        """Write rows, and keep them."""
        super().write_memory(space, address, rows)
        self.rows += [(space, address + number, row) for number, row in enumerate(rows)]


def experiment(config: Config, limits: Limits, count: int) -> str:
    """Header with what the program does and expects: training on the first ``count`` digits."""
    digits, rule = opzo.load_data("digits").train[:count], Rule.parse(config.rule)
    samples, results = [], []
    with Recorder(limits) as device:
        device.configure(config.network, rule)
        State.initial(config.network, rule, config.seed, limits).write(device)
        device.write_registers(schedule_registers(config, 0, 1))
        answers = device.run(digits.samples(), train=True)
        for number, (pixels, label, answer) in enumerate(zip(digits.x, digits.y, answers, strict=True)):
            lit = np.flatnonzero(pixels)
            chunk = Chunk(lit, pixels[lit].astype(np.int64))
            samples.append([*event_words(chunk), run_word(RunFlag.TRAIN, int(label), number % 256)])
            results.append([result_head(Status.OK, number % 256, answer.prediction, 1), answer.loss])
        rows = [
            (space, number, row)
            for space in Space
            if space.rows(limits)
            for number, row in enumerate(device.read_memory(space, 0, space.rows(limits)))
        ]
        return "\n".join(_header(device, rows, samples, results, limits))


def _header(
    device: Recorder,
    rows: Sequence[tuple[Space, int, np.ndarray]],
    samples: Sequence[Sequence[int]],
    results: Sequence[Sequence[int]],
    limits: Limits,
) -> Iterator[str]:
    words = limits.lanes // 2
    yield f"#define ROW_WORDS {words}\nstruct row {{ uint32_t space, number, words[ROW_WORDS]; }};"
    registers = ", ".join(f"{{{address}, {value}u}}" for address, value in device.registers)
    yield f"static const uint32_t registers[][2] = {{{registers}}};"
    for name, some in (("written", device.rows), ("expected", rows)):
        text = ",\n".join(
            f"{{{int(space)}, {number}, {{{', '.join(map(str, row.astype('<u2').view('<u4')))}}}}}"
            for space, number, row in some
        )
        yield f"static const struct row {name}[] = {{\n{text}\n}};"
    yield f"static const uint32_t samples[] = {{{', '.join(f'{word}u' for words in samples for word in words)}}};"
    yield f"static const uint32_t lengths[] = {{{', '.join(str(len(words)) for words in samples)}}};"
    yield f"static const uint32_t results[][2] = {{{', '.join(f'{{{head}u, {loss}u}}' for head, loss in results)}}};"


class Clock(LiteXModule):
    """Clock and reset of the simulation."""

    def __init__(self, clock: object) -> None:
        self.cd_sys = ClockDomain()
        self.comb += [self.cd_sys.clk.eq(clock), self.cd_sys.rst.eq(0)]


class Soc(SoCCore):
    """VexRiscv, memory for program and stack, a UART, and the chip at OPZO_BASE."""

    def __init__(self, verilog: Path, program: Sequence[int]) -> None:
        platform = SimPlatform("SIM", _io)
        self.crg = Clock(platform.request("sys_clk"))
        super().__init__(
            platform,
            clk_freq=CLOCK_HZ,
            cpu_type="vexriscv",
            cpu_variant="minimal",
            integrated_rom_size=ROM_BYTES,
            integrated_rom_init=list(program),
            integrated_sram_size=0x2000,
            uart_name="sim",
            with_timer=False,
            ident="",
        )
        # Software ends the simulation.
        platform.add_debug(self, reset=0)
        platform.add_source(str(verilog))
        bus = wishbone.Interface(data_width=32, adr_width=30, addressing="word")
        self.bus.add_slave("opzo", bus, SoCRegion(origin=OPZO_BASE, size=0x1000, cached=False))
        self.specials += Instance(
            bus_module("wishbone"),
            i_wb_clk_i=ClockSignal(),
            i_wb_rst_i=ResetSignal(),
            # LiteX counts words, the chip bytes.
            i_wb_adr_i=Cat(Replicate(0, 2), bus.adr[:10]),
            i_wb_dat_i=bus.dat_w,
            o_wb_dat_o=bus.dat_r,
            i_wb_sel_i=bus.sel,
            i_wb_we_i=bus.we,
            i_wb_stb_i=bus.stb,
            i_wb_cyc_i=bus.cyc,
            o_wb_ack_o=bus.ack,
            o_wb_err_o=bus.err,
        )


def build(out: Path, program: Sequence[int], *, compiled: bool) -> None:
    """Generate the SoC with ``program`` in its ROM, and ``soc.h`` with its addresses; ``compiled`` for simulation."""
    config = SimConfig()
    config.add_clocker("sys_clk", freq_hz=CLOCK_HZ)
    config.add_module("serial2console", "serial")
    soc = Soc(out / f"{bus_module('wishbone')}.v", program)
    registers = out / "soc.json"
    builder = Builder(
        soc,
        output_dir=str(out / "soc"),
        csr_json=str(registers),
        compile_software=False,
        compile_gateware=compiled,
    )
    builder.build(sim_config=config, interactive=False, run=False)
    facts = json.loads(registers.read_text())["csr_registers"]
    names = ("uart_rxtx", "uart_txfull", "sim_finish_finish")
    lines = [f"#define {name.upper()} 0x{facts[name]['addr']:x}u" for name in names]
    (out / "soc.h").write_text("\n".join([*lines, f"#define OPZO_BASE 0x{OPZO_BASE:x}u", ""]))


def compile_program(out: Path) -> list[int]:
    """Words of the ROM."""
    flags = [
        "-march=rv32i_zicsr",
        "-mabi=ilp32",
        "-Os",
        "-ffreestanding",
        "-nostdlib",
        "-Wall",
        "-Werror",
        "-I",
        str(out),
    ]
    elf, binary = out / "program.elf", out / "program.bin"
    sources = [str(HERE / name) for name in ("start.S", "program.c")]
    subprocess.run([CROSS, *flags, "-T", str(HERE / "memory.ld"), "-o", str(elf), *sources], check=True)
    subprocess.run([CROSS.replace("gcc", "objcopy"), "-O", "binary", str(elf), str(binary)], check=True)
    words: list[int] = get_mem_data(str(binary), data_width=32, endianness="little")
    return words


def simulate(out: Path) -> str:
    """Run the simulation, which the program ends, and return what it prints."""
    folder = out / "soc" / "gateware"
    command = [str(folder / "obj_dir" / "Vsim")]
    return subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True).stdout


def main() -> int:
    """Build and run everything; 0 where the program found no difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--digits", type=int, default=20, help="training samples (default: 20)")
    parser.add_argument("--out", type=Path, default=Path("build/litex"), help="folder (default: build/litex)")
    arguments = parser.parse_args()
    out = arguments.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    config = Config(net="64-16-10", steps=6)
    limits = config.network.limits(4, 12)
    (out / f"{bus_module('wishbone')}.v").write_text(bus_verilog("wishbone", limits))
    (out / "opzo_bus.h").write_text(bus_header())
    (out / "experiment.h").write_text(experiment(config, limits, arguments.digits))
    # The program needs the addresses of the SoC, and the SoC the program.
    build(out, [], compiled=False)
    build(out, compile_program(out), compiled=True)
    printed = simulate(out)
    print(printed)
    return 0 if "PASSED" in printed else 1


if __name__ == "__main__":
    sys.exit(main())
