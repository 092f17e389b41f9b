"""The signals that a waveform shows first: what the chip does, with plain names and text, in groups.

They are a module ``view`` next to the chip, which reads the chip's own signals by their hierarchical names.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from amaranth.utils import bits_for

from opzo.hw.error.ports import CLASS_BITS
from opzo.hw.schedule.passes import Kind
from opzo.spec.formats import HISTORY_STEPS, MEMBRANE, SCALED_ERROR
from opzo.spec.limits import Limits

SCOPE = "TOP.top.view"
"""Where the signals are in the waveform."""
CYCLE_BITS = 32

_PASSES = {Kind.INPUT: "INTEGRATE_INPUT", Kind.SPIKES: "INTEGRATE_SPIKES", Kind.LOCAL: "LOCAL_READOUT"}
"""Names of passes whose `Kind` alone does not say what they do."""
_CORE = "top.chip.core"
_RUNNER = f"{_CORE}.engine.sequencer.runner"
_FIRED = f"{_CORE}.engine.active_rows.fired"
_GROUP = f"{_CORE}.engine.lanes.group_0"
_ERROR = f"{_CORE}.error_path"


class Format(Enum):
    """How a viewer shows a signal."""

    BIT = "bit"
    TEXT = "text"
    UNSIGNED = "unsigned"
    SIGNED = "signed"
    BINARY = "binary"
    HEX = "hex"


@dataclass(frozen=True)
class Shown:
    """A signal of the view.

    Parameters
    ----------
    group, name : str
    width : int
    format : Format
    value : str
        Verilog expression; empty for a register of the view.
    type : str
        Its type; empty for a vector.
    """

    group: str
    name: str
    width: int
    format: Format
    value: str
    type: str = ""


def shown(limits: Limits) -> list[Shown]:
    """Signals of the view of a chip with ``limits``, in the order in which a viewer shows them."""
    return list(_shown(limits))


def _shown(limits: Limits) -> Iterator[Shown]:
    step, word, lane = bits_for(HISTORY_STEPS - 1), limits.word_bits, bits_for(limits.lanes_per_group - 1)
    layer = bits_for(limits.layers + 1)
    op_word = max(limits.word_bits, limits.class_bits)
    bit, text, unsigned, signed = Format.BIT, Format.TEXT, Format.UNSIGNED, Format.SIGNED

    group = "run"
    yield Shown(group, "run", 1, bit, f"{_CORE}.control.run__working")
    yield Shown(group, "train", 1, bit, f"{_CORE}.control.run__train")
    yield Shown(group, "label", CLASS_BITS, unsigned, f"{_CORE}.control.run__sample__label")
    yield Shown(group, "cycle", CYCLE_BITS, unsigned, "")

    group = "pass"
    running = f"{_RUNNER}.running"
    kind, kind_bits = f"pass_t'({_RUNNER}.current__kind)", bits_for(len(Kind))
    yield Shown(group, "pass", kind_bits, text, f"{running} ? {kind} : IDLE", "pass_t")
    yield Shown(group, "layer", layer, text, f"{running} ? layer_t'({_RUNNER}.current__layer) : NONE", "layer_t")
    yield Shown(group, "step", step, unsigned, f"{_RUNNER}.current__step")
    yield Shown(group, "word", op_word, unsigned, f"{_RUNNER}.op__word")
    yield Shown(group, "op", 1, bit, f"{_RUNNER}.op__valid")

    group = "spikes of a word"
    yield Shown(group, "fired", 1, bit, f"{_FIRED}__valid")
    yield Shown(group, "fired_layer", layer, text, f"layer_t'({_FIRED}__payload__layer)", "layer_t")
    yield Shown(group, "fired_step", step, unsigned, f"{_FIRED}__payload__step")
    yield Shown(group, "fired_word", word, unsigned, f"{_FIRED}__payload__word")
    yield Shown(group, "spikes", limits.lanes, Format.BINARY, f"{_FIRED}__payload__spikes")

    group = "membrane potentials, lane group 0"
    membrane = f"{_GROUP}.neurons.state.membrane__write"
    yield Shown(group, "membrane_write", 1, bit, f"{membrane}__en")
    yield Shown(group, "membrane_word", word, unsigned, f"{membrane}__address__word")
    yield Shown(group, "membrane_lane", lane, unsigned, f"{membrane}__address__lane")
    yield Shown(group, "membrane", MEMBRANE.width, signed, f"{membrane}__data__v")

    group = "readouts"
    yield Shown(group, "readout_valid", 1, bit, f"{_ERROR}.readout__valid")
    yield Shown(group, "readout_layer", layer, text, "", "layer_t")
    yield Shown(group, "readout_step", step, unsigned, "")
    yield Shown(group, "readout_class", CLASS_BITS, unsigned, "")
    yield Shown(group, "readout", MEMBRANE.width, signed, f"{_ERROR}.readout__value")

    group = "errors"
    yield Shown(group, "error_valid", 1, bit, f"{_ERROR}.error__valid")
    yield Shown(group, "error_step", step, unsigned, f"{_ERROR}.error__step")
    yield Shown(group, "error_class", CLASS_BITS, unsigned, f"{_ERROR}.error__class_")
    yield Shown(group, "error", SCALED_ERROR.width, signed, f"{_ERROR}.error__value")

    group = "rows written, lane group 0"
    row = limits.lanes_per_group * limits.weight_bits
    yield Shown(group, "row_write", 1, bit, f"{_GROUP}.memory.write_en")
    yield Shown(group, "row_address", bits_for(limits.rows - 1), unsigned, f"{_GROUP}.memory.write_address")
    yield Shown(group, "row", row, Format.HEX, f"{_GROUP}.memory.write_data")

    group = "link"
    for way in ("rx", "tx"):
        yield Shown(group, f"{way}_valid", 1, bit, f"top.{way}_valid")
        yield Shown(group, f"{way}_payload", 8, Format.HEX, f"top.{way}_payload")


def view_verilog(limits: Limits) -> str:
    """SystemVerilog of module ``view``, for an instance ``top.view``."""
    passes = {**{kind.value: _PASSES.get(kind, kind.name) for kind in Kind}, len(Kind): "IDLE"}
    layers = {**{number: f"HIDDEN_{number + 1}" for number in range(limits.layers)}, limits.layers: "READOUT"}
    layers[limits.layers + 1] = "NONE"
    types = [_enumeration("pass_t", passes), _enumeration("layer_t", layers)]
    lines = []
    for signal in shown(limits):
        kind = signal.type or f"logic [{signal.width - 1}:0]"
        kind = "logic" if signal.width == 1 else kind
        lines.append(f"  {kind} {signal.name};")
        if signal.value:
            lines.append(f"  assign {signal.name} = {signal.value};")
    return "\n".join(["module view(input clk);", *types, *lines, _REGISTERS, "endmodule", ""])


def _enumeration(name: str, values: dict[int, str]) -> str:
    width = bits_for(max(values))
    members = ", ".join(f"{text} = {width}'d{value}" for value, text in values.items())
    return f"  typedef enum logic [{width - 1}:0] {{{members}}} {name};"


# The layer and the step of readouts are known in the cycle before the first of them.
_REGISTERS = f"""
  always @(posedge clk) begin
    cycle <= {_CORE}.control.run__start ? 0 : cycle + 1;
    if ({_ERROR}.step__start) begin
      readout_layer <= layer_t'({_ERROR}.step__source);
      readout_step <= {_ERROR}.step__step;
      readout_class <= 0;
    end else if (readout_valid)
      readout_class <= readout_class + 1;
  end
"""
