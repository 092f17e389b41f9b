"""``opzo verilog``: write the chip as plain Verilog: the core and the top, or the chip behind a bus."""

import argparse
from dataclasses import asdict
from pathlib import Path

from opzo.host.cli.inference import write_core
from opzo.host.cli.options import add_clock, add_config, add_output, given_settings
from opzo.host.cli.output import log
from opzo.host.cli.output_folder import print_files, ready_folder
from opzo.host.training.config import Config
from opzo.spec.errors import ChoiceError, OpzoError

BUSES = {
    "stream": "bytes of the link as AXI4-Stream",
    "axi": "AXI4-Lite registers, AXI4-Stream samples and results, an interrupt",
    "wishbone": "Wishbone B4 registers, an interrupt",
}
"""Buses of `opzo.hw.export.verilog`, which is not loaded for help, in words."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="folder to write to (default: .)")
    add_config(parser, ("net", "steps", "local", "intermediate", "block", "lanes", "weight_bits"))
    parser.add_argument(
        "--bus",
        choices=tuple(BUSES),
        help="write the chip behind a bus instead: " + "; ".join(f"{name}: {text}" for name, text in BUSES.items()),
    )
    parser.add_argument(
        "--testbench",
        action="store_true",
        help="also write a testbench that trains one sample on the core and compares with the golden model",
    )
    parser.add_argument(
        "--inference",
        type=Path,
        metavar="RUN",
        help="write a core that only infers, with the weights of this run or checkpoint in files next to it",
    )
    add_clock(parser, "clock that the device reports, in MHz (default: none)", "device")
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the files and print their paths; exit code."""
    if arguments.bus and (arguments.testbench or arguments.inference):
        raise ChoiceError("--testbench and --inference are for the core, without --bus; give one of them")
    clock_khz = round(getattr(arguments, "clock", 0) * 1000)
    if arguments.inference is not None:
        return write_core(arguments, clock_khz)
    config = Config.of(given_settings(arguments), "the settings")
    limits = config.network.limits(config.lanes, config.weight_bits)
    config.network.check(limits)
    try:
        from opzo.hw.export.fusesoc import core_name, core_text
        from opzo.hw.export.testbench import EXPECTED, MODULE, WRITTEN, write_testbench
        from opzo.hw.export.verilog import CORE, TOP, bus_module, bus_verilog, write_verilog
    except ModuleNotFoundError as error:
        raise OpzoError(
            f"opzo verilog needs the package {error.name}; install it with: pip install 'opzo[sim]'"
        ) from None
    modules = [bus_module(arguments.bus)] if arguments.bus else [CORE, TOP]
    names = [name for module in modules for name in (f"{module}.v", core_name(module))]
    names += [f"{MODULE}.v", WRITTEN, EXPECTED] if arguments.testbench else []
    ready_folder(arguments.out, names)
    about = f"network {config.network}, {limits.lanes} lanes"
    texts = {core_name(module): core_text(module, f"opzo for {about}") for module in modules}
    if arguments.bus:
        texts[f"{modules[0]}.v"] = bus_verilog(arguments.bus, limits, clock_khz)
    else:
        verilog = write_verilog(limits, clock_khz)
        texts |= {f"{CORE}.v": verilog["core"], f"{TOP}.v": verilog["top"]}
    if arguments.testbench:
        from opzo.host.cli.testbench import training_script

        about = f"network {config.network}, rule {config.rule}, {limits.lanes} lanes"
        texts |= write_testbench(training_script(config, limits), limits, CORE, about)
    facts = {"network": str(config.network), **asdict(limits)}
    print_files(arguments.out, {name: texts[name] for name in names}, facts, as_json=arguments.json)
    if arguments.testbench and not arguments.quiet:
        log(f"opzo: the head of {arguments.out / MODULE}.v has the commands that run it, in Icarus and in Verilator")
    return 0
