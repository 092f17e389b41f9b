"""The core that only infers: ``opzo verilog --inference``."""

import argparse
from dataclasses import asdict

from opzo.host.cli.options import given_settings
from opzo.host.cli.output import log
from opzo.host.cli.output_folder import print_files, ready_folder
from opzo.host.driver.fixed import fixed_network
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.config import option_name
from opzo.host.training.run_folder import checkpoint_path
from opzo.spec.errors import OpzoError
from opzo.spec.fixed_network import FixedNetwork

CHANGEABLE = frozenset({"lanes", "weight_bits"})
"""Settings that a core may have other than its run."""


def write_core(arguments: argparse.Namespace, clock_khz: int) -> int:
    """Write core, top and weights of the run that ``--inference`` names, and print the paths; exit code.

    Errors are those of `inference_network`; OpzoError where the files cannot be written.
    """
    fixed = inference_network(arguments)
    try:
        from opzo.hw.export.inference import file_names, write_inference
    except ModuleNotFoundError as error:
        raise OpzoError(
            f"opzo verilog needs the package {error.name}; install it with: pip install 'opzo[sim]'"
        ) from None
    ready_folder(arguments.out, file_names(fixed.limits))
    facts = {"network": str(fixed.network), **asdict(fixed.limits)}
    print_files(arguments.out, write_inference(fixed, clock_khz), facts, as_json=arguments.json)
    if not arguments.quiet:
        log(f"opzo: opzo eval {arguments.inference} --device verilog:{arguments.out} tests it in simulation")
    return 0


def inference_network(arguments: argparse.Namespace) -> FixedNetwork:
    """Network of the run that ``--inference`` names, with ``--lanes`` and ``--weight-bits`` if these are given.

    OpzoError for options that would change the network, or for a testbench, which trains.
    """
    values = given_settings(arguments)
    other = sorted(option_name(key) for key in values.keys() - CHANGEABLE)
    if other:
        raise OpzoError(f"the network is that of {arguments.inference}; leave {', '.join(other)} out")
    if arguments.testbench:
        raise OpzoError("the testbench trains the core, and this one only infers; leave --testbench out")
    checkpoint = Checkpoint.load(checkpoint_path(arguments.inference))
    built = {"lanes": checkpoint.lanes, "weight_bits": checkpoint.state.weight_bits} | values
    return fixed_network(checkpoint.network, checkpoint.rule, checkpoint.state.weights, **built)
