"""Command line ``opzo``: parses, runs a subcommand, and turns errors into one line and an exit code."""

import logging
import re

import opzo
from opzo.host.cli.output import log
from opzo.host.cli.parser import Parser, add_commands
from opzo.spec.errors import ChoiceError, LinkError, OpzoError, ToolError
from opzo.spec.messages import printable
from opzo.system.standard_streams import Output, ended_by_signals, standard_streams

COMMANDS = {
    "train": ("commands.train", "train a network on a device"),
    "sweep": ("commands.sweep", "train with all combinations of some settings"),
    "eval": ("commands.evaluate", "test a trained network"),
    "stream": ("commands.stream", "stream events through a trained network, learning on the way"),
    "data": ("commands.data", "make, convert or look at event data sets"),
    "import": ("commands.import_", "import a float network (PyTorch, NIR), with what rounding it to the chip costs"),
    "export": ("commands.export", "export the weights of a checkpoint to PyTorch or NIR"),
    "info": ("commands.info", "show what a device is, or what a checkpoint holds"),
    "verilog": ("commands.verilog", "write the core and the top as plain Verilog"),
    "registers": ("commands.registers", "print the register map or the link protocol, for drivers in any language"),
    "build": ("commands.build", "build a bitstream for a board"),
    "flash": ("commands.flash", "program a board with a bitstream"),
    "ports": ("commands.ports", "list serial ports and the boards behind them"),
    "reference": ("commands.reference", "train and compare the methods of the paper in floating point"),
    "selftest": ("commands.selftest", "test a device, bit for bit"),
    "simulate": ("commands.simulate", "offer a simulated device as a serial port"),
}
"""Subcommands: module in ``opzo.host.cli``, and help."""
DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
"""Of terminals: colours and the like."""


def main(argv: list[str] | None = None) -> int:
    """Run ``opzo``; exit code: 0 done, 1 failed on its way, 2 what the user gave cannot work, 130 interrupted."""
    with standard_streams() as stdout, ended_by_signals():
        code = _run(argv, stdout)
        if stdout.error is not None:
            gone = isinstance(stdout.error, BrokenPipeError)
            reason = "its reader has gone" if gone else stdout.error.strerror
            log(f"opzo: error: cannot write to standard output: {reason}; results are incomplete")
            code = code or (INTERRUPTED if gone else FAILED)
    return code


def _run(argv: list[str] | None, stdout: Output) -> int:
    try:
        try:
            arguments = _parser().parse_args(argv)
            _configure_logging(verbose=arguments.verbose, quiet=arguments.quiet)
            code: int = arguments.run_command(arguments)
            return code
        finally:
            stdout.flush()
    except OpzoError as error:
        # A message of another library may have several lines and escape codes; the user gets one line of text.
        more = f"; see {arguments.program} --help" if isinstance(error, ChoiceError) else ""
        log(f"opzo: error: {printable(' '.join(_ESCAPES.sub('', str(error)).split()))}{more}")
        return FAILED if isinstance(error, LinkError | ToolError) else USAGE
    except KeyboardInterrupt:
        if stdout.error is not None:
            return DONE
        log("opzo: interrupted")
        return INTERRUPTED


def _parser() -> Parser:
    parser = Parser(prog="opzo", description="Train spiking neural networks on the chip.")
    parser.add_argument("--version", action="version", version=f"opzo {opzo.__version__}")
    add_commands(parser, COMMANDS, "run_command")
    return parser


def _configure_logging(*, verbose: bool, quiet: bool) -> None:
    """Send the log of opzo to stderr."""
    logger = logging.getLogger("opzo")
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
    handler = _Stderr()
    handler.setFormatter(_Line("opzo: %(message)s"))
    logger.handlers = [handler]


class _Stderr(logging.Handler):
    """Writes to what stderr is at the moment: a progress bar puts its own in place, so that lines go above it."""

    def emit(self, record: logging.LogRecord) -> None:
        log(self.format(record))


class _Line(logging.Formatter):
    """Messages of the log, with what files and devices say in them made fit for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of text."""
        return printable(super().format(record))
