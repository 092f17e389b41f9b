"""Paths, links and commands that README, docs and source files name exist; the picture is its script's."""

import json
import re
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from opzo.host.cli.main import COMMANDS
from opzo.host.training.config import Hyperparameters

ROOT = Path(__file__).parents[2]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.ipynb"))
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *TUTORIALS,
]
FOLDERS = (
    "bench",
    "boards",
    "docs",
    "examples",
    "host",
    "hw",
    "reference",
    "sim",
    "spec",
    "src/opzo",
    "system",
    "tests",
    ".ci",
    ".github",
)
PATH = re.compile(rf"(?<![\w./-])(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./-]*\w/?")
EXAMPLES = {".host.driver.tcp_transport"}
"""Modules that a page invents."""
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_that_a_page_names_exist(page: Path) -> None:
    named = set(PATH.findall(page.read_text()))
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


@pytest.mark.parametrize("folder", [name for name in FOLDERS if name[0] != "."])
def test_paths_that_source_files_name_exist(folder: str) -> None:
    for file in (ROOT / folder).rglob("*.py"):
        named = set(PATH.findall(file.read_text()))
        assert sorted(name for name in named if not (ROOT / name).exists()) == [], file


@pytest.mark.parametrize("name", ["machine", "decisions", "walkthrough"])
def test_classes_that_a_page_names_exist(name: str) -> None:
    named = set(re.findall(r"`([A-Z][a-z]\w*)[`.]", (ROOT / "docs" / f"{name}.md").read_text()))
    sources = "".join(file.read_text() for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))
    assert sorted(named - set(re.findall(r"^class (\w+)", sources, re.MULTILINE))) == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda page: page.name)
def test_modules_that_a_page_names_exist(page: Path) -> None:
    for name in {*re.findall(r"\bopzo((?:\.[a-z_]+)+)\b", page.read_text())} - EXAMPLES:
        place, parts = ROOT / "src" / "opzo", name.split(".")[1:]
        while parts and (place / parts[0]).is_dir():
            place /= parts.pop(0)
        file = place / f"{parts[0]}.py" if parts else place / "__init__.py"
        assert file.exists() or place == ROOT / "src" / "opzo", f"opzo{name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_a_page_names_exist(page: Path) -> None:
    named = set(re.findall(r"(?:^|`|/|&& )opzo ([a-z]+)\b", page.read_text(), re.MULTILINE))
    assert sorted(named - set(COMMANDS)) == []


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda tutorial: tutorial.name)
def test_tutorials_are_stored_without_outputs(tutorial: Path) -> None:
    cells = json.loads(tutorial.read_text())["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


def test_the_table_of_settings_has_all_with_their_defaults() -> None:
    rows = re.findall(r"^\| `--([\w-]+)` \| (\S+) \|", (ROOT / "docs" / "commands.md").read_text(), re.MULTILINE)
    settings = {entry.name.replace("_", "-"): str(entry.default) for entry in fields(Hyperparameters)}
    assert dict(rows) == settings


def test_the_picture_is_what_its_script_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT / "docs"), *sys.path])
    import machine_picture

    assert machine_picture.TARGET.read_text() == machine_picture.svg()
