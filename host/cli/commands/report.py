"""``opzo report``: runs as one self-contained HTML file."""

import argparse
from functools import partial
from pathlib import Path

from opzo.host.cli.exit_codes import DONE
from opzo.host.cli.option_types import integer
from opzo.host.cli.options import add_config, add_output, add_time_clock, clock_mhz, given_settings
from opzo.host.cli.output import log, print_facts, print_json
from opzo.system.atomic import check_output, write_atomically

OUT = Path("report.html")
DEVICE = "fast"
"""Default: equal to all others in every state, and quick."""
SAMPLES_MAX = 32


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folder of opzo train")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FILE", help=f"file to write (default: {OUT})")
    text = f"test samples with a spike raster, 0..{SAMPLES_MAX} (default: 4)"
    parser.add_argument("--samples", type=integer(0, SAMPLES_MAX), default=4, metavar="N", help=text)
    add_config(parser, ("data_root", "device"), data_root="as in training", device=DEVICE)
    add_time_clock(parser)
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the report; exit code."""
    # Imported here because templates and pictures take longer than the start of other commands.
    from opzo.host.cli.report.document import names_of, report_html, section_of
    from opzo.host.cli.report.facts import check_runs, measured

    folders = check_runs(arguments.runs)
    check_output(arguments.out, suffix=".html")
    values = {"device": DEVICE} | given_settings(arguments)
    sections = []
    for folder, name in zip(folders, names_of(folders), strict=True):
        with measured(folder, values, partial(clock_mhz, arguments)) as facts:
            sections.append(section_of(facts, name, arguments.samples))
    write_atomically(arguments.out, report_html(sections).encode())
    if arguments.json:
        print_json({"report": str(arguments.out), "runs": [section.facts.figures for section in sections]})
    else:
        for section in sections:
            tested = section.facts.figures["test"]
            print_facts({section.name: f"{tested['accuracy']:.2%} of {tested['samples']:,}"}, as_json=False)
        log(f"opzo: wrote {arguments.out}; open it in a browser")
    return DONE
