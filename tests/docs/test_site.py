"""The documentation site: it is built without a warning, its tutorials run, and its links lead somewhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from site_links import Page, dead_links, loaded_from_elsewhere, pages

import opzo

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. Warnings are errors, and so is a cell of a tutorial that raises."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-n", "--keep-going", "docs", str(folder / "html")]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    # The kernel of this environment, without what the user has set up.
    environment |= {"JUPYTER_PREFER_ENV_PATH": "1", "JUPYTER_CONFIG_DIR": str(folder), "IPYTHONDIR": str(folder)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def found(site: Path) -> dict[Path, Page]:
    return pages(site)


def test_links_lead_somewhere(found: dict[Path, Page]) -> None:
    assert dead_links(found) == []


def test_nothing_is_loaded_from_elsewhere(site: Path, found: dict[Path, Page]) -> None:
    assert loaded_from_elsewhere(site, found) == []


def test_every_public_name_is_documented(site: Path, found: dict[Path, Page]) -> None:
    anchors = found[site / "api.html"].anchors
    names = [*(name for name in opzo.__all__ if name != "plot"), *(f"plot.{name}" for name in opzo.plot.__all__)]
    assert [name for name in names if f"opzo.{name}" not in anchors] == []


def test_formulas_are_mathml(site: Path) -> None:
    text = (site / "algorithm.html").read_text()
    assert text.count("<math ") > 20
    assert "$" not in text.partition("<article")[2].partition("</article>")[0]


def test_dead_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "one.html").write_text(
        '<p id="here"><a href="#here"><a href="#there"><a href="two.html#x"><a href="two.html#y"><a href="three.html">'
        '<a href="https://opzo"><a href="https://example.org/a b"><a href="https://example.org/a">'
        '<img src="https://example.org/x.png"><a href="one.txt">'
    )
    (tmp_path / "two.html").write_text('<b id="x"><link rel="stylesheet" href="site.css">')
    (tmp_path / "site.css").write_text("@import url(//example.org/font.css); a { background: url('x.png') }")
    (tmp_path / "one.txt").write_text("")
    found = pages(tmp_path)
    dead = ["#there", "two.html#y", "three.html", "https://opzo", "https://example.org/a b"]
    assert dead_links(found) == [f"one.html: {link}" for link in dead]
    elsewhere = ["one.html: https://example.org/x.png", "site.css: //example.org/font.css"]
    assert loaded_from_elsewhere(tmp_path, found) == elsewhere
