"""Register map and protocol for other languages: pages in step with the tables, headers that compile, the command."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from command_line import error_of

from opzo.host.cli.main import main
from opzo.host.report.interface_map import protocol_header, protocol_page, register_header, registers_page
from opzo.spec.commands import Command
from opzo.spec.registers import REGISTERS

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize(("name", "page"), [("registers.md", registers_page), ("protocol.md", protocol_page)])
def test_pages_are_those_of_the_tables(name: str, page: object) -> None:
    assert callable(page)
    part = name.removesuffix(".md")
    assert (DOCS / name).read_text() == page(), f"run: python -m opzo registers --part {part} --out docs/{name}"


def test_headers_compile(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("c++")
    assert compiler
    source = tmp_path / "driver.c"
    (tmp_path / "registers.h").write_text(register_header())
    (tmp_path / "protocol.h").write_text(protocol_header())
    lines = [f"typedef char r{a}[OPZO_REG_{r.name} == {a} ? 1 : -1];" for a, r in REGISTERS.items()]
    lines += [f"typedef char c{c.value}[OPZO_CMD_{c.name} == {c.value} ? 1 : -1];" for c in Command]
    source.write_text('#include "registers.h"\n#include "protocol.h"\n' + "\n".join(lines) + "\n")
    subprocess.run([compiler, "-fsyntax-only", "-Wall", "-Werror", str(source)], check=True)


def test_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["registers"]) == 0
    assert capsys.readouterr().out == registers_page()
    assert main(["registers", "--json"]) == 0
    registers = json.loads(capsys.readouterr().out)["registers"]
    assert registers[1] | {"meaning": ""} == {
        **{"name": "STEPS", "address": 1, "bits": 4, "access": "rw", "reset": 0, "meaning": ""}
    }
    assert len(registers) == len(REGISTERS)
    assert main(["registers", "--part", "protocol", "--format", "json"]) == 0
    commands = json.loads(capsys.readouterr().out)["commands"]
    assert [field["type"] for field in commands[3]["request"]["fields"]] == ["u8", "u32", "u16"]
    path = tmp_path / "opzo.h"
    assert main(["registers", "--format", "c", "--out", str(path)]) == 0
    assert (path.read_text(), capsys.readouterr().out) == (register_header(), "")


def test_errors_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--json and --format c exclude each other" in error_of(["registers", "--json", "--format", "c"], capsys)
    assert "there is no folder" in error_of(["registers", "--out", str(tmp_path / "no" / "map.md")], capsys)
