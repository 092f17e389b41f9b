import base64
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from command_line import error_of

from opzo.host.cli.main import main
from opzo.host.training.checkpoint import Checkpoint

QUICK = ["--device", "golden", "--samples", "1"]
NAMESPACES = re.compile(r"https?://(www\.w3\.org|purl\.org|creativecommons\.org|matplotlib\.org)[^\s\"'<>]*")
"""Names in SVG, which no browser loads."""


class Loaded(HTMLParser):
    """Addresses that a page loads or links to, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base", "form")
        for name, value in attributes:
            assert not name.startswith("on")
            if name in ("src", "href", "srcset", "data", "poster", "background", "action", "style"):
                self.addresses.append(value or "")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def pages(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, dict[str, object]]:
    """Reports on one run and on two, of which one is not complete and has a name with special characters."""
    folder = tmp_path_factory.mktemp("report")
    other = Path(shutil.copytree(finished, folder / "a <b>&$x$"))
    for name in ("figures.json", "metrics.jsonl"):
        (other / name).unlink()
    replace(Checkpoint.load(other / "checkpoint.npz"), epoch=1).save(other / "checkpoint.npz")
    one, two = folder / "one.html", folder / "two.html"
    assert main(["report", str(finished), "--out", str(one), *QUICK]) == 0
    assert main(["report", str(finished), str(other), "--out", str(two), *QUICK]) == 0
    return one.read_text(), two.read_text(), json.loads((finished / "figures.json").read_text())


def test_loads_nothing_from_elsewhere(pages: tuple[str, str, dict[str, object]]) -> None:
    for text in pages[:2]:
        loaded = Loaded(text)
        assert len(loaded.addresses) >= 4
        for address in loaded.addresses:
            kind, _, data = address.partition(",")
            assert kind in ("data:image/png;base64", "data:image/svg+xml;base64")
            content = base64.b64decode(data)
            if "svg" in kind:
                # The document type has a name too, which is not loaded.
                svg = re.sub(r"<!DOCTYPE[^>]*>", "", content.decode())
                assert "//" not in NAMESPACES.sub("", svg)
                assert not re.search(r"href=\"(?!#|data:)", svg)
                assert "<script" not in svg
        page = re.sub(r"data:[^\"]*", "", text)
        assert "//" not in page
        assert "@import" not in page
        assert "url(" not in page


def test_has_what_the_run_has(pages: tuple[str, str, dict[str, object]]) -> None:
    one, _, figures = pages
    accuracy = figures["test_accuracy"]
    assert isinstance(accuracy, float)
    assert f"{100 * accuracy:.2f} %</span> test accuracy" in one
    for text in (
        "9-8-3",
        "Energy of a test sample, an estimate",
        "Horowitz",
        "opzo train --config",
        "synaptic operations",
    ):
        assert text in one
    alternatives = re.findall(r'alt="([^"]*)"', one)
    assert alternatives == [
        "Accuracy and firing rates over the epochs",
        "Confusion matrix",
        "Spike raster of test sample 0",
        "Weights of layer 0",
    ]


def test_several_runs_are_side_by_side(pages: tuple[str, str, dict[str, object]]) -> None:
    _, two, _ = pages
    assert two.count("test accuracy</p>") == 2
    assert "<b>" not in two
    assert "a &lt;b&gt;&amp;$x$" in two
    # The second has lost its metrics.
    assert "No epoch is complete." in two
    assert "The run is not complete: 1 of 2 epochs are trained." in two


def test_json_has_the_figures(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "r.html"
    assert main(["report", str(finished), "--out", str(out), "--json", "--samples", "0", "--device", "golden"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["report"] == str(out)
    (run,) = figures["runs"]
    stored = json.loads((finished / "figures.json").read_text())
    assert run["test"]["accuracy"] == stored["test_accuracy"]
    assert run["energy"]["estimate"] is True
    matrix = run["confusion"]
    assert sum(map(sum, matrix)) == run["test"]["samples"] == 60
    assert sum(matrix[label][label] for label in range(3)) == round(60 * stored["test_accuracy"])
    assert [row["epoch"] for row in run["history"]] == [1, 2]


def test_bad_runs_are_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no folder" in error_of(["report", str(tmp_path / "none")], capsys)
    assert "is given twice" in error_of(["report", str(run), str(run / "checkpoint.npz")], capsys)
    assert "ends in .html" in error_of(["report", str(run), "--out", str(tmp_path / "r.txt")], capsys)
    (tmp_path / "empty").mkdir()
    assert "empty" in error_of(["report", str(tmp_path / "empty"), "--out", str(tmp_path / "r.html")], capsys)
    metrics = run / "metrics.jsonl"
    lines = metrics.read_text().splitlines()
    for text in ("{}\n", "[1]\n", '{"epoch": "1"}\n', "{", '{"epoch": 1, "test": {}, "train": {}}\n'):
        metrics.write_text(text)
        message = error_of(["report", str(run), "--out", str(tmp_path / "r.html"), *QUICK], capsys)
        assert "metrics.jsonl" in message
    metrics.write_text("\n".join(lines))
    (run / "checkpoint.npz").write_bytes(b"nothing")
    assert "checkpoint.npz" in error_of(["report", str(run), "--out", str(tmp_path / "r.html")], capsys)
    assert not (tmp_path / "r.html").exists()
