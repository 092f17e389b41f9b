"""The tree as git stores it."""

import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("boards", "host", "hw", "reference", "sim", "spec", "system")


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_packages_are_links_to_the_folders_at_the_top() -> None:
    listed = subprocess.run(["git", "ls-files", "-s", "src/opzo"], cwd=ROOT, capture_output=True, text=True, check=True)
    modes = {Path(line.split("\t")[1]).name: line.split()[0] for line in listed.stdout.splitlines()}
    assert {name for name, mode in modes.items() if mode == "120000"} == set(PACKAGES)
    for name in PACKAGES:
        assert (ROOT / "src" / "opzo" / name).readlink() == Path("../..") / name


def test_files_of_tests_have_different_names() -> None:
    # pytest imports them by name only, and refuses the second one.
    names = sorted(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, after in pairwise(names) if name == after] == []
