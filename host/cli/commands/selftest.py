"""``opzo selftest``: test a device bit for bit."""

import argparse
import secrets
from contextlib import closing
from dataclasses import asdict
from typing import Any

import opzo
from opzo.host.cli.exit_codes import DONE, FAILED
from opzo.host.cli.next_step import after_selftest
from opzo.host.cli.options import add_config, add_output, given_settings
from opzo.host.cli.output import log, print_json
from opzo.host.driver.devices import connection, is_simulated, simulated_limits
from opzo.host.selftest.suite import STEPS, SelfTest, StepReport
from opzo.host.training.config import Config

SEEDS = 1 << 31


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = (
        "Test a device: memories, registers, random generators, the link with damaged bytes, and training compared "
        "with the golden model. Overwrites the weights and counters of the device. Exit code 1: a test failed."
    )
    add_config(parser, ("device", "net", "lanes", "weight_bits"))
    text = "seed of all random numbers, for repeating a test (default: random; it is printed)"
    parser.add_argument("--seed", type=int, default=argparse.SUPPRESS, metavar="INT", help=text)
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the steps and report each when it ends; exit code."""
    given = given_settings(arguments)
    config = Config.of({"seed": secrets.randbelow(SEEDS)} | given, "the settings")
    limits = None
    if is_simulated(config.device):
        limits = simulated_limits(config.device, config.network, config.lanes, config.weight_bits)
        config.network.check(limits)
    if not arguments.json:
        print(f"opzo {opzo.__version__}, device {config.device}, seed {config.seed}", flush=True)
    reports: list[StepReport] = []
    with closing(SelfTest(connection(config.device, limits), config.seed)) as test:
        for report in test.run(_print_started if not arguments.json else _hide if arguments.quiet else _log_started):
            reports.append(report)
            if not arguments.json:
                _print_report(report)
        tested = test.limits
    passed = len(reports) == len(STEPS) and all(report.passed for report in reports)
    if arguments.json:
        print_json(_facts(config, passed, reports))
    else:
        print(_verdict(passed, reports))
    if passed and not arguments.quiet:
        log(f"opzo: {after_selftest(config, given, tested)}")
    return DONE if passed else FAILED


def _hide(name: str) -> None:
    pass


def _log_started(name: str) -> None:
    log(f"opzo: {name}")


def _print_started(name: str) -> None:
    print(f"{name:10}", end="", flush=True)


def _print_report(report: StepReport) -> None:
    print(f"{'passed' if report.passed else 'FAILED'} {report.seconds:6.1f} s  ", end="")
    if report.failure is None:
        print(report.text, flush=True)
        return
    print(report.failure["where"])
    for name in ("expected", "got"):
        print(f"{name:>28} {report.failure[name]}", flush=True)


def _verdict(passed: bool, reports: list[StepReport]) -> str:
    seconds = sum(report.seconds for report in reports)
    if passed:
        return f"all {len(reports)} steps passed in {seconds:.1f} s"
    failed = [report.name for report in reports if not report.passed]
    missing = [name for name in STEPS if name not in {report.name for report in reports}]
    skipped = f"; not run: {', '.join(missing)}" if missing else ""
    return f"failed: {', '.join(failed)}{skipped}; see docs/selftest.md for what to do"


def _facts(config: Config, passed: bool, reports: list[StepReport]) -> dict[str, Any]:
    done = [{**asdict(report), "seed": config.seed} for report in reports]
    missing = [name for name in STEPS if name not in {report.name for report in reports}]
    facts = {"device": config.device, "seed": config.seed, "passed": passed}
    return facts | {"steps": done, "not_done": missing}
