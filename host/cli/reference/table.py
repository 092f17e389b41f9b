"""``opzo reference table``: compare runs of the reference with each other and with the paper."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from opzo.host.cli.options import add_output
from opzo.host.cli.output import log, print_json
from opzo.system.atomic import check_output

TITLE = """# Runs of the reference
Written by `opzo reference table`. Test accuracy is that of the last epoch, mean and standard deviation over the seeds.
Figures of the paper are from its tables 1 to 4 and 8. Firing rates are spikes per neuron and time step on the test
set; a spike costs the mean fan-out of its layer.
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run of opzo reference train")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for tables and pictures (default: none, only print)"
    )
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the tables and write the requested files; exit code."""
    from opzo.reference.runs.results import ReferenceResult, markdown, summarise

    if arguments.out:
        check_output(arguments.out, folder=True)
    summaries = summarise(ReferenceResult.read(folder) for folder in arguments.runs)
    text = markdown(summaries)
    if arguments.out:
        from opzo.host.report.pictures import write_picture
        from opzo.reference.runs.figures import cosine_png, dynamics_png, relative_variance_png, variance_png
        from opzo.system.atomic import write_atomically
        from opzo.system.folder_lock import make_folder

        make_folder(arguments.out)
        drawn = {
            "dynamics.png": dynamics_png,
            "variance.png": variance_png,
            "relative-variance.png": relative_variance_png,
            "cosine.png": cosine_png,
        }
        pictures = [
            name for name, draw in drawn.items() if write_picture(arguments.out / name, partial(draw, summaries))
        ]
        links = "".join(f"\n![{Path(name).stem}]({name})\n" for name in pictures)
        write_atomically(arguments.out / "README.md", f"{TITLE}\n{text}{links}".encode(errors="surrogateescape"))
        log(f"opzo: wrote {', '.join(['README.md', *pictures])} in {arguments.out}")
    if arguments.json:
        print_json({"methods": [summary.figures() for summary in summaries]})
    else:
        print(text, end="")
    return 0
