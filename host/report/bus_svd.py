"""Register map of the chip behind a bus as CMSIS-SVD, which debuggers and generators of drivers read."""

from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import opzo
from opzo.spec import bus
from opzo.spec.bus import BUS_REGISTERS, BusRegister

SCHEMA = "1.3"
"""Version of the format."""
ACCESS = {"rw": "read-write", "r": "read-only", "w": "write-only"}
REGISTER_BITS = 8 * bus.WORD_BYTES


def bus_svd() -> str:
    """A device with one peripheral at address 0; copy the peripheral to your device, with your base address."""
    device = Element("device", schemaVersion=SCHEMA)
    _texts(
        device,
        name="OPZO",
        version=opzo.__version__,
        description="A core that trains spiking neural networks, behind AXI4-Lite or Wishbone.",
        addressUnitBits=8,
        width=REGISTER_BITS,
        size=REGISTER_BITS,
    )
    peripheral = SubElement(SubElement(device, "peripherals"), "peripheral")
    _texts(
        peripheral,
        name="OPZO",
        version=bus.MAP_VERSION,
        description="Registers behind a bus.",
        groupName="OPZO",
        baseAddress="0x0",
    )
    block = SubElement(peripheral, "addressBlock")
    _texts(block, offset="0x0", size=f"0x{1 << bus.ADDRESS_BITS:x}", usage="registers")
    _texts(SubElement(peripheral, "interrupt"), name="OPZO", description="What has happened, if enabled.", value=0)
    registers = SubElement(peripheral, "registers")
    for register in BUS_REGISTERS:
        _add(registers, register)
    ElementTree.indent(device, " ")
    return ElementTree.tostring(device, "unicode", xml_declaration=True) + "\n"


def _add(registers: Element, register: BusRegister) -> None:
    """Add a register, or an array of them."""
    # Others depend on the device, or change by themselves.
    known = (1 << register.bits) - 1 if register.access == "rw" and register.count == 1 else 0
    element = SubElement(registers, "register")
    if register.count > 1:
        _texts(element, dim=register.count, dimIncrement=bus.WORD_BYTES)
    _texts(
        element,
        name=register.name + "[%s]" * (register.count > 1),
        description=register.meaning,
        addressOffset=f"0x{register.address:x}",
        size=REGISTER_BITS,
        access=ACCESS[register.access],
        resetValue="0x0",
        resetMask=f"0x{known:x}",
    )
    if register.clears:
        _texts(element, modifiedWriteValues="oneToClear")
    if register.fields:
        fields = SubElement(element, "fields")
        for field in register.fields:
            _texts(
                SubElement(fields, "field"),
                name=field.name,
                description=field.meaning,
                bitOffset=field.low,
                bitWidth=field.bits,
            )


def _texts(element: Element, **texts: object) -> None:
    """Add elements with a text each."""
    for name, text in texts.items():
        SubElement(element, name).text = str(text)
