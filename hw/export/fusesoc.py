"""FuseSoC description (CAPI2) of an exported module, so that a build or a simulation can depend on it by name."""

import opzo

_TEXT = """CAPI=2:
# Written by opzo verilog. Names the module {module}; lint it with: fusesoc --cores-root . run --target lint {module}
name: "::{module}:{version}"
description: "{description}"

filesets:
  rtl:
    files:
      - {module}.v: {{file_type: verilogSource}}

targets:
  default:
    filesets: [rtl]
    toplevel: {module}
  lint:
    filesets: [rtl]
    toplevel: {module}
    flow: lint
    flow_options:
      tool: verilator
      # Widths follow from the arithmetic, and parts of signals stay unused.
      verilator_options: [-Wno-fatal, -Wno-lint, -Wno-style]
"""


def core_name(module: str) -> str:
    """Name of the file."""
    return f"{module}.core"


def core_text(module: str, description: str) -> str:
    """Description of ``module``, whose Verilog lies in the same folder."""
    return _TEXT.format(module=module, version=opzo.__version__, description=description)
