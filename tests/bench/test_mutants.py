"""bench/mutants.py: which changes are made, and that weak tests leave survivors, on a small repository."""

import json
import shutil
import subprocess
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import mutants as script
import pytest
from mutation import campaign
from mutation.belongs import FOLDERS, steps
from mutation.cxx_sites import cxx_sites
from mutation.draw import mutants, present
from mutation.mutant import mutant_at
from mutation.python_sites import python_sites
from mutation.report import figures, read_verdicts
from mutation.tree import Tree

from opzo.spec.errors import OpzoError

ROOT = Path(__file__).resolve().parents[2]
PYTHON = b'''"""Text 1 < 2."""

LIMIT: int = 3


class Unit(Component):
    port: In(signed(WIDTH))
    plain: Signal

    def __repr__(self) -> str:
        return f"{1 + 1}"

    def elaborate(self, value: "int | None" = None):
        """More 1 < 2."""
        assert value > 0, "1 + 1"
        logger.info("%d", 1 + 1)
        if not 0 <= value:
            raise ValueError(f"{value + 1}")
        m.d.comb += [self.a.eq(Mux(x, y, z)), b.eq(c[:n])]
        with m.If(x & y):
            pass
'''
PYTHON_MUTANTS = {
    ("3", "4"),
    ("3", "(2)"),
    ("WIDTH", "((WIDTH) + 1)"),
    ("WIDTH", "((WIDTH) - 1)"),
    ("not 0 <= value", "(not not 0 <= value)"),
    ("not 0 <= value", "(0 <= value)"),
    ("0 <= value", "(0 < value)"),
    ("0 <= value", "(0 > value)"),
    ("0", "1"),
    ("0", "(-1)"),
    ('raise ValueError(f"{value + 1}")', "pass"),
    ("m.d.comb += [self.a.eq(Mux(x, y, z)), b.eq(c[:n])]", "pass"),
    ("self.a.eq(Mux(x, y, z))", "*()"),
    ("b.eq(c[:n])", "*()"),
    ("Mux(x, y, z)", "(Mux(x, z, y))"),
    ("n", "((n) + 1)"),
    ("n", "((n) - 1)"),
    ("x & y", "((x & y) == 0)"),
    ("x & y", "(x | y)"),
    ("x & y", "(x ^ y)"),
}
CXX = b"""#include <vector>
template <int N> static void f(std::vector<int>& list, const int* p) {
    static_assert(1 < 2);
    if (*p && N > 2) list[0] += std::min(1u, 2u);  // 1 < 2
}
"""
CXX_MUTANTS = {
    ("(*p && N > 2)", "(!(*p && N > 2))"),
    ("&&", "||"),
    (">", ">="),
    (">", "<="),
    ("2", "3"),
    ("2", "(1)"),
    ("list[0] += std::min(1u, 2u);", ";"),
    ("0", "1"),
    ("0", "(-1)"),
    ("+=", "-="),
    ("min", "max"),
    ("1u", "2u"),
    ("1u", "(0u)"),
    ("2u", "3u"),
    ("2u", "(1u)"),
}
MODELS = Path("sim", "golden")
CLIPPED = "def clipped(value, top):\n    return top if value > top else value\n"
STRONG = """from opzo.sim.golden.strong import clipped


def test_clipped():
    assert [clipped(value, 5) for value in (4, 5, 6)] == [4, 5, 5]
    assert clipped(0.5, 0.75) == 0.5
"""
WEAK = "from opzo.sim.golden.weak import clipped\n\n\ndef test_clipped():\n    assert clipped(5, 5) == 5\n"


@pytest.mark.parametrize(
    ("sites", "source", "expected"), [(python_sites, PYTHON, PYTHON_MUTANTS), (cxx_sites, CXX, CXX_MUTANTS)]
)
def test_changes_are_of_what_is_executed(sites: Any, source: bytes, expected: set[tuple[str, str]]) -> None:
    found = [mutant_at("a", source, site, text) for site in sites(source) for text in site.replacements]
    assert {(mutant.before, mutant.after) for mutant in found} == expected
    for mutant in found:
        assert mutant.applied(source) != source
        assert mutant.text.encode() in source
        with pytest.raises(ValueError, match="a has changed since the mutant was made"):
            mutant.applied(b"# before\n" + source)


def test_draw_depends_on_the_seed_alone() -> None:
    first, again, other = (list(islice(mutants(ROOT, "host/driver", seed), 30)) for seed in (1, 1, 2))
    assert first == again
    assert not set(first) & set(other) or set(first) != set(other)
    assert len({mutant.key for mutant in first}) == 30


def test_a_mutant_is_found_again_while_its_line_is_there(tmp_path: Path) -> None:
    file = MODELS / "one.py"
    (tmp_path / MODELS).mkdir(parents=True)
    (tmp_path / file).write_text(CLIPPED)
    old = list(mutants(tmp_path, str(MODELS), 1))
    (tmp_path / file).write_text(f"FIRST = 1\n\n\n{CLIPPED}")
    source = (tmp_path / file).read_bytes()
    for mutant in old:
        moved = present(tmp_path, mutant)
        assert moved is not None
        assert (moved.key, moved.line) == (mutant.key, mutant.line + 3)
        assert moved.applied(source).removeprefix(b"FIRST = 1\n\n\n") == mutant.applied(CLIPPED.encode())
    (tmp_path / file).write_text(CLIPPED + CLIPPED)
    second = [replace(mutant, line=mutant.line + 2, start=mutant.start + len(CLIPPED)) for mutant in old]
    assert [present(tmp_path, mutant) for mutant in [*old, *second]] == [*old, *second]
    (tmp_path / file).write_text(CLIPPED.replace("value > top", "top < value"))
    assert {present(tmp_path, mutant) for mutant in old} == {None}
    (tmp_path / file).unlink()
    assert present(tmp_path, old[0]) is None


def test_tests_of_every_file_exist() -> None:
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            quick, slow = steps(ROOT, str(path.relative_to(ROOT)))
            assert quick
            names = [name for step in (*quick, *slow) for name in step if name.startswith("tests/")]
            for name in names:
                file, _, test = name.partition("::")
                assert (ROOT / file).exists(), name
                assert test.partition("[")[0] in ((ROOT / file).read_text() if test else "")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one function twice, tested well and badly."""
    root = tmp_path_factory.mktemp("repository")
    for name, text in {
        "pyproject.toml": "[tool.pytest.ini_options]\n",
        f"{MODELS}/strong.py": CLIPPED,
        f"{MODELS}/weak.py": CLIPPED,
        "src/opzo/__init__.py": "",
        "test_strong.py": STRONG,
        "test_weak.py": WEAK,
        "test_broken.py": "def test_broken():\n    assert False\n",
        "test_endless.py": "def test_endless():\n    while True:\n        pass\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "src" / "opzo" / "sim").symlink_to("../../sim")
    shutil.copytree(ROOT / "bench" / "mutation", root / "bench" / "mutation")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    return root


@pytest.fixture(scope="module")
def tree(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with Tree(repository, tmp_path_factory.mktemp("work")) as tree:
        yield tree


def test_weak_tests_leave_survivors(
    repository: Path,
    tree: Tree,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class SameTree:
        """The tree of all tests, so that one server runs."""

        def __init__(self, *_: object) -> None:
            pass

        def __enter__(self) -> Tree:
            return tree

        def __exit__(self, *_: object) -> None:
            pass

    def own_test(root: Path, file: str) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
        return [(f"test_{Path(file).stem}.py",)], []

    monkeypatch.setattr(script, "ROOT", repository)
    monkeypatch.setattr(script, "Tree", SameTree)
    monkeypatch.setattr(campaign, "steps", own_test)
    out, work = tmp_path / "out.jsonl", tmp_path / "work"
    arguments = ["--out", str(out), "--work", str(work), "--only", str(MODELS), "--count", "6", "--json"]
    assert script.main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    rows = {row["key"]: row for row in map(json.loads, out.read_text().splitlines())}
    status = {(row["file"], row["before"], row["after"]): row["status"] for row in rows.values()}
    assert len({file for file, _, _ in status}) == 2
    for (file, _, after), told in status.items():
        # A comparison with equality does the same; the weak test finds nothing.
        same = "weak" in file or ">=" in after
        assert told == ("survived" if same else "killed"), (file, after)
    killed = [row for row in rows.values() if row["status"] == "killed"]
    assert killed
    assert {row["by"] for row in killed} == {"test_strong.py::test_clipped"}
    assert found["folders"]["sim/golden"]["killed"] == len(killed)
    assert {row["key"] for row in found["survivors"]} == {
        key for key, row in rows.items() if row["status"] == "survived"
    }
    # The sources of the user and of the tree are as before.
    for root in (repository, tree.root):
        assert (root / MODELS / "weak.py").read_text() == CLIPPED
    # Killed while it wrote the third row of a mutant: this is tested again, no other.
    lines = out.read_text().splitlines(keepends=True)
    out.write_text("".join(lines[:2]) + lines[2][:20])
    assert script.main(arguments) == 0
    assert {row["key"]: row["status"] for row in map(json.loads, out.read_text().splitlines())} == {
        key: row["status"] for key, row in rows.items()
    }
    assert out.read_text().startswith("".join(lines[:2]))
    capsys.readouterr()
    # A test that fails without a mutant kills none.
    monkeypatch.setattr(campaign, "steps", lambda root, file: ([("test_broken.py",)], []))
    assert script.main(["--out", str(tmp_path / "other.jsonl"), *arguments[2:]]) == 0
    every = json.loads(capsys.readouterr().out)["folders"]["all"]
    assert (every["mutants"], every["unclear"]) == (0, len(rows))


def test_endless_test_is_ended(tree: Tree) -> None:
    outcome = tree.test(("test_endless.py",), 1)
    assert (outcome.failed, outcome.timeout, outcome.test) == (True, True, "test_endless.py::test_endless")
    # The server goes on.
    assert not tree.test(("test_weak.py",), 20).failed
    with pytest.raises(OpzoError, match="ended with code 5"):
        tree.test(("test_weak.py", "-k", "absent"), 20)


def test_shares_leave_out_what_no_test_can_find() -> None:
    states = ["killed"] * 7 + ["timeout"] + ["survived"] * 2 + ["invalid", "unclear"]
    row = {"folder": "hw", "file": "hw/top.py", "line": 1}
    rows = {str(n): row | {"key": str(n), "status": status} for n, status in enumerate(states)}
    found = figures(rows, {"8": {"verdict": "equivalent", "why": "no"}, "9": {"verdict": "gap", "why": "yes"}})
    every = found["folders"]["all"]
    assert every == found["folders"]["hw"]
    assert (every["mutants"], every["raw"], every["killed_share"]) == (10, 0.8, 8 / 9)
    assert [row["why"] for row in found["survivors"]] == ["no", "yes"]
    assert found["folders"]["sim/fast"]["raw"] is None


def test_verdicts_are_known_and_have_reasons(tmp_path: Path) -> None:
    assert all(len(key) == 12 for key in read_verdicts())
    (tmp_path / "a.toml").write_text('[abc]\nverdict = "fine"\nwhy = "so"\n')
    with pytest.raises(OpzoError, match="abc needs a verdict, equivalent or gap"):
        read_verdicts(tmp_path / "a.toml")
