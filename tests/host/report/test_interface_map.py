"""Register map and protocol for other languages: pages in step with the tables, headers that compile, the command."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from cmsis_svd.parser import SVDParser
from command_line import error_of

from opzo.host.cli.main import main
from opzo.host.report.bus_map import bus_header, bus_page
from opzo.host.report.bus_svd import bus_svd
from opzo.host.report.interface_map import protocol_header, protocol_page, register_header, registers_page
from opzo.spec.bus import BUS_REGISTERS
from opzo.spec.commands import Command
from opzo.spec.registers import REGISTERS

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize(
    ("name", "page"), [("registers.md", registers_page), ("protocol.md", protocol_page), ("bus.md", bus_page)]
)
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
    (tmp_path / "bus.h").write_text(bus_header())
    lines += [f"typedef char b{r.address}[OPZO_BUS_{r.name} == {r.address} ? 1 : -1];" for r in BUS_REGISTERS]
    includes = "".join(f'#include "{part}.h"\n' for part in ("registers", "protocol", "bus"))
    source.write_text(includes + "\n".join(lines) + "\n")
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


def test_svd_has_the_registers_of_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "opzo.svd"
    assert main(["registers", "--part", "bus", "--format", "svd", "--out", str(path)]) == 0
    (peripheral,) = SVDParser.for_xml_file(str(path)).get_device().peripherals
    # The parser writes the registers of an array one by one.
    found = {register.address_offset: register for register in peripheral.get_registers()}
    expected = {r.address + 4 * n: r for r in BUS_REGISTERS for n in range(r.count)}
    assert found.keys() == expected.keys()
    access = {"rw": "read-write", "r": "read-only", "w": "write-only"}
    for address, register in expected.items():
        element = found[address]
        index = f"[{(address - register.address) // 4}]" if register.count > 1 else ""
        assert element.name == register.name + index
        assert element.access.value == access[register.access]
        assert element.size == 32
        fields = [(field.name, field.bit_offset, field.bit_width) for field in element.get_fields()]
        assert fields == [(field.name, field.low, field.bits) for field in register.fields]
    assert bus_svd() == path.read_text()


def test_map_of_the_bus_has_no_overlaps() -> None:
    places = [register.address + 4 * n for register in BUS_REGISTERS for n in range(register.count)]
    assert places == sorted(set(places))
    assert max(places) < 1 << 12
    for register in BUS_REGISTERS:
        bits = [bit for field in register.fields for bit in range(field.low, field.low + field.bits)]
        assert bits == sorted(set(bits)), register.name
        assert max(bits, default=0) < max(register.bits, 1), register.name


def test_errors_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--json and --format c exclude each other" in error_of(["registers", "--json", "--format", "c"], capsys)
    assert "--part registers has no format svd; choose md, c, json" in error_of(
        ["registers", "--format", "svd"], capsys
    )
    assert "there is no folder" in error_of(["registers", "--out", str(tmp_path / "no" / "map.md")], capsys)
