"""Command line ``opzo``: parses arguments, runs a command, and turns errors into one line and an exit code."""

import logging
import re

import opzo
from opzo.host.cli.exit_codes import DONE, FAILED, INTERRUPTED, USAGE
from opzo.host.cli.output import log
from opzo.host.cli.parser import HelpFormatter, Parser, add_commands
from opzo.spec.errors import ChoiceError, LinkError, OpzoError, ToolError
from opzo.spec.messages import printable
from opzo.system.standard_streams import Output, ended_by_signals, standard_streams

COMMANDS = {
    "train": ("commands.train", "train a network on a device"),
    "sweep": ("commands.sweep", "train with all combinations of lists of settings"),
    "eval": ("commands.evaluate", "test a trained network"),
    "predict": ("commands.predict", "print classes and probabilities of samples, as CSV or JSON lines"),
    "stream": ("commands.stream", "stream events through a trained network, with optional learning"),
    "report": ("commands.report", "write runs as one HTML file: curves, spikes, weights, figures"),
    "live": ("commands.live", "show a network in the browser, draw samples for it, and teach it"),
    "data": ("commands.data", "convert, show or generate event data sets"),
    "store": ("commands.store", "show, fill or erase the sample store of a device"),
    "import": ("commands.import_", "import a float network (PyTorch, NIR) and report the quantization loss"),
    "export": ("commands.export", "export the weights of a checkpoint to PyTorch or NIR"),
    "info": ("commands.info", "show the properties of a device or the contents of a checkpoint"),
    "verilog": ("commands.verilog", "write the core and the top as plain Verilog"),
    "registers": ("commands.registers", "print the register map or the link protocol, for drivers in any language"),
    "boards": ("commands.boards", "list the boards and what fits on them"),
    "build": ("commands.build", "build a bitstream for a board"),
    "flash": ("commands.flash", "program a board with a bitstream"),
    "ports": ("commands.ports", "list serial ports and the boards behind them"),
    "doctor": ("commands.doctor", "check this machine: what works, and what to install"),
    "completion": ("commands.completion", "print a script with which a shell completes commands and options"),
    "reference": ("commands.reference", "train and compare the methods of the paper in floating point"),
    "selftest": ("commands.selftest", "test a device, bit for bit"),
    "simulate": ("commands.simulate", "expose a simulated device as a pseudo-terminal, or write a waveform"),
}
"""Subcommands: module in ``opzo.host.cli``, and help."""
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
"""Escape sequences of terminals, for example colours."""


def main(argv: list[str] | None = None) -> int:
    """Run ``opzo``; exit code as in ``opzo.host.cli.exit_codes``."""
    with standard_streams() as stdout, ended_by_signals():
        code = _run(argv, stdout)
        if stdout.error is not None:
            gone = isinstance(stdout.error, BrokenPipeError)
            reason = "its reader is gone" if gone else stdout.error.strerror
            log(f"opzo: error: cannot write to standard output: {reason}; results are incomplete")
            code = code or (INTERRUPTED if gone else FAILED)
    return code


def _run(argv: list[str] | None, stdout: Output) -> int:
    try:
        try:
            arguments = opzo_parser().parse_args(argv)
            _configure_logging(verbose=arguments.verbose, quiet=arguments.quiet)
            code: int = arguments.run_command(arguments)
            return code
        finally:
            stdout.flush()
    except OpzoError as error:
        # Messages of other libraries may have several lines and escape sequences; print one line of text.
        more = f"; see {arguments.program} --help" if isinstance(error, ChoiceError) else ""
        log(f"opzo: error: {printable(' '.join(_ESCAPES.sub('', str(error)).split()))}{more}")
        return FAILED if isinstance(error, LinkError | ToolError) else USAGE
    except KeyboardInterrupt:
        if stdout.error is not None:
            return DONE
        log("opzo: interrupted")
        return INTERRUPTED


def opzo_parser() -> Parser:
    """Parser of ``opzo`` with all its subcommands."""
    parser = Parser(
        prog="opzo",
        description="Train spiking neural networks on the chip.",
        epilog="opzo COMMAND --help lists its options; opzo doctor checks this machine.",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"opzo {opzo.__version__}")
    add_commands(parser, COMMANDS, "run_command")
    return parser


def _configure_logging(*, verbose: bool, quiet: bool) -> None:
    """Send log records of opzo to stderr."""
    logger = logging.getLogger("opzo")
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
    handler = _Stderr()
    handler.setFormatter(_Line("opzo: %(message)s"))
    logger.handlers = [handler]


class _Stderr(logging.Handler):
    """Writes to the present ``sys.stderr``, which a progress bar replaces so that lines go above it."""

    def emit(self, record: logging.LogRecord) -> None:
        log(self.format(record))


class _Line(logging.Formatter):
    """Formats log records with control characters escaped, which files and devices may contain."""

    def format(self, record: logging.LogRecord) -> str:
        """Message as one line of text."""
        return printable(super().format(record))
