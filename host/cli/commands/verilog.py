"""``opzo verilog``: write the core and the top as plain Verilog."""

import argparse
from pathlib import Path

from opzo.host.cli.options import add_clock, add_config, add_verbosity, given_settings
from opzo.host.training.config import Config
from opzo.spec.errors import OpzoError
from opzo.system.atomic import check_output, write_atomically


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="folder to write to (default: .)")
    add_config(parser, ("net", "steps", "local", "intermediate", "block", "lanes", "weight_bits"))
    add_clock(parser, "clock that the device reports, in MHz (default: none)", "device")
    add_verbosity(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the files and print their paths; exit code."""
    config = Config.of(given_settings(arguments), "the settings")
    limits = config.network.limits(config.lanes, config.weight_bits)
    config.network.check(limits)
    try:
        from opzo.hw.export.verilog import CORE, TOP, write_verilog
    except ModuleNotFoundError as error:
        raise OpzoError(
            f"opzo verilog needs the package {error.name}; install it with: pip install 'opzo[sim]'"
        ) from None
    check_output(arguments.out, folder=True)
    for name in (CORE, TOP):
        if (arguments.out / f"{name}.v").is_dir():
            raise OpzoError(f"cannot write {arguments.out / name}.v: it is a folder; give another --out")
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OpzoError(f"cannot make the folder {arguments.out}: {error.strerror}; give another --out") from None
    texts = write_verilog(limits, round(getattr(arguments, "clock", 0) * 1000))
    for part, module in (("core", CORE), ("top", TOP)):
        path = arguments.out / f"{module}.v"
        write_atomically(path, texts[part].encode())
        print(path)
    return 0
