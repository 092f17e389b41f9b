"""The netlist of a real chip passes the self-test and trains like the golden model."""

import json

import pytest

from opzo.host.cli.main import main

# Four clock cycles a bit, the fewest.
BOARD = ["--board", "ecpix5-45f", "--lanes", "4", "--clock", "48"]
NETWORKS = {"dense": ["--net", "16-8-4"], "convolutional": ["--net", "1x6x4-3c3-p2-4"]}


@pytest.fixture(scope="module", params=NETWORKS)
def built(request, tmp_path_factory):
    """Folder of a build, from the cache where it was built before."""
    folder = tmp_path_factory.mktemp("build") / request.param
    assert main(["build", *BOARD, *NETWORKS[request.param], "--out", str(folder), "--json"]) == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("part", ["", "routed"])
def test_netlist_passes_the_self_test(built, part, capsys):
    capsys.readouterr()
    code = main(["selftest", "--device", f"netlist:{built / part}", "--seed", "1", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert {step["name"] for step in report["steps"] if not step["passed"]} == set()
    assert (code, report["not_done"]) == (0, [])
    (identity,) = (step for step in report["steps"] if step["name"] == "identity")
    assert identity["details"]["clock_khz"] == 48_000
