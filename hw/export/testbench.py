"""Plain Verilog testbench of the core: writes a network, trains one sample, compares with the golden model."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from amaranth.lib import data
from numpy.typing import NDArray

from opzo.hw.interface import EVENT, MEMORY_COMMAND, RESULT, RUN
from opzo.hw.timing import REGISTER_CYCLES
from opzo.spec.limits import Limits
from opzo.spec.memories import ENTRY_BITS, Space

MODULE = "opzo_core_tb"
WRITTEN, EXPECTED = f"{MODULE}_written.hex", f"{MODULE}_expected.hex"
"""Files with the words of the rows that the testbench writes, and of those that it expects."""

MOST_CYCLES = 100_000_000
"""Clock cycles after which the testbench gives up."""

Rows = tuple[Space, int, NDArray[np.uint16]]
"""Memory, first row, and words (rows, lanes)."""


@dataclass
class Script:
    """What the testbench does at the ports of the core, in this order, and what it expects.

    Attributes
    ----------
    writes : list of Rows or {register: value}
    events : list of (address, value, ends)
        Input of the run, as in `opzo.hw.interface.EVENT`.
    run : dict
        Fields of `opzo.hw.interface.RUN`.
    results : list of int
        Prediction, loss and summed readouts.
    registers, rows : what they hold afterwards
    """

    writes: list[Rows | Mapping[int, int]] = field(default_factory=list)
    events: list[tuple[int, int, int]] = field(default_factory=list)
    run: dict[str, int] = field(default_factory=dict)
    results: list[int] = field(default_factory=list)
    registers: dict[int, int] = field(default_factory=dict)
    rows: list[Rows] = field(default_factory=list)


def write_testbench(script: Script, limits: Limits, core: str, about: str) -> dict[str, str]:
    """Files of the testbench of module ``core``, by name; ``about`` says in words what it trains."""
    written = [rows for rows in script.writes if isinstance(rows, tuple)]
    body = "\n".join(f"    {line}" for line in _statements(script))
    words = {
        "written_words": sum(rows.size for _, _, rows in written),
        "expected_words": sum(rows.size for _, _, rows in script.rows),
    }
    values = {"core": core, "about": about, "body": body, "lanes": limits.lanes, **words}
    text = _TEXT
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    for name, layout in (("event", EVENT), ("command", MEMORY_COMMAND), ("run", RUN), ("result", RESULT)):
        text = text.replace(f"@{name}_bits@", str(layout.size))
    return {f"{MODULE}.v": text, WRITTEN: _hex(written), EXPECTED: _hex(script.rows)}


def _statements(script: Script) -> Iterable[str]:
    word = 0
    for write in script.writes:
        if isinstance(write, tuple):
            space, address, rows = write
            yield f"write_rows({_command(space, address, write=1)}, {len(rows)}, {word});  // {space.name}"
            word += rows.size
        else:
            yield from (f"write_register(8'd{address}, 32'd{value});" for address, value in write.items())
    yield from (f"send_event({_packed(EVENT, address=a, value=v, ends=e)});" for a, v, e in script.events)
    yield f"start_run({_packed(RUN, **script.run)});"
    last = len(script.results) - 1
    for number, value in enumerate(script.results):
        item = _packed(RESULT, data=value & 0xFFFFFFFF, first=number == 0, last=number == last, tag=script.run["tag"])
        yield f"check_result({item});  // {('prediction', 'loss')[number] if number < 2 else f'readout {number - 2}'}"
    yield from (f"check_register(8'd{address}, 32'd{value});" for address, value in script.registers.items())
    word = 0
    for space, address, rows in script.rows:
        yield f"check_rows({_command(space, address, write=0)}, {len(rows)}, {word});  // {space.name}"
        word += rows.size


def _command(space: Space, address: int, *, write: int) -> str:
    return _packed(MEMORY_COMMAND, space=space, address=address, write=write)


def _packed(layout: data.StructLayout, **values: int) -> str:
    """Constant of a layout, the last field first."""
    fields = [f"{layout[name].width}'d{int(values[name])}" for name, _ in layout]
    return f"{{{', '.join(reversed(fields))}}}"


def _hex(parts: Sequence[Rows]) -> str:
    """Text for ``$readmemh``: a row on each line."""
    return "".join(" ".join(f"{word:04x}" for word in row) + "\n" for _, _, rows in parts for row in rows.tolist())


_TEXT = f"""// Testbench of @core@: @about@.
//
// It writes the network and its state through the core's ports, trains one sample, and compares the results, registers
// and memories with those of the golden model. It prints PASSED, or what differs; the exit code is that of $fatal.
//
//   $ iverilog -o {MODULE} {MODULE}.v @core@.v && vvp {MODULE}
//   $ verilator --binary --timing -Wno-lint -Wno-style --top-module {MODULE} {MODULE}.v @core@.v && obj_dir/V{MODULE}
//
// With the option -MAKEFLAGS OPT_FAST=-O0 compilation by Verilator is shorter.
`timescale 1ns / 1ps

module {MODULE};
  localparam LANES = @lanes@;
  localparam REGISTER_CYCLES = {REGISTER_CYCLES};

  reg clk = 0, rst = 1;
  always #5 clk = ~clk;

  reg [7:0] register_addr = 0;
  reg [31:0] register_w_data = 0;
  reg register_w_en = 0;
  wire [31:0] register_r_data;
  reg [@command_bits@-1:0] command = 0;
  reg command_valid = 0;
  wire command_ready;
  reg [{ENTRY_BITS}-1:0] w_word = 0;
  reg w_valid = 0;
  wire w_ready;
  wire [{ENTRY_BITS}-1:0] r_word;
  wire r_valid;
  reg r_ready = 0;
  reg [@event_bits@-1:0] item = 0;
  reg event_valid = 0;
  wire event_ready;
  reg [@run_bits@-1:0] run = 0;
  reg run_valid = 0;
  wire run_ready;
  wire [@result_bits@-1:0] result;
  wire result_valid;
  reg result_ready = 0;
  wire idle;

  @core@ core (
    .clk(clk),
    .rst(rst),
    .link__register_addr(register_addr),
    .link__register_w_data(register_w_data),
    .link__register_w_en(register_w_en),
    .link__register_r_data(register_r_data),
    .link__memory_command__payload(command),
    .link__memory_command__valid(command_valid),
    .link__memory_command__ready(command_ready),
    .link__memory_w__payload(w_word),
    .link__memory_w__valid(w_valid),
    .link__memory_w__ready(w_ready),
    .link__memory_r__payload(r_word),
    .link__memory_r__valid(r_valid),
    .link__memory_r__ready(r_ready),
    .link__event__payload(item),
    .link__event__valid(event_valid),
    .link__event__ready(event_ready),
    .link__run__payload(run),
    .link__run__valid(run_valid),
    .link__run__ready(run_ready),
    .link__discard(1'b0),
    .link__result__payload(result),
    .link__result__valid(result_valid),
    .link__result__ready(result_ready),
    .link__idle(idle)
  );

  reg [{ENTRY_BITS}-1:0] written [0:@written_words@-1];
  reg [{ENTRY_BITS}-1:0] expected [0:@expected_words@-1];
  integer errors = 0, cycles = 0, row, lane;
  reg taken;
  reg [@result_bits@-1:0] seen;
  reg [{ENTRY_BITS}-1:0] seen_word;

  always @(posedge clk) begin
    cycles = cycles + 1;
    if (cycles == {MOST_CYCLES}) $fatal(1, "FAILED: the core does not answer");
  end

  // All tasks begin and end at a falling edge; they look at outputs just before the rising edge.

  // The core is idle, and has been for longer than idle may be late.
  task wait_idle;
    begin
      repeat (4) @(negedge clk);
      while (!idle) @(negedge clk);
    end
  endtask

  task write_register(input [7:0] address, input [31:0] value);
    begin
      wait_idle;
      register_addr = address;
      register_w_data = value;
      register_w_en = 1;
      @(negedge clk);
      register_w_en = 0;
    end
  endtask

  task check_register(input [7:0] address, input [31:0] value);
    begin
      wait_idle;
      register_addr = address;
      repeat (REGISTER_CYCLES) @(negedge clk);
      if (register_r_data !== value) begin
        errors = errors + 1;
        $display("register %0d is %0d, not %0d", address, register_r_data, value);
      end
    end
  endtask

  task start_command(input [@command_bits@-1:0] value);
    begin
      wait_idle;
      command = value;
      command_valid = 1;
      taken = 0;
      while (!taken) begin
        #4 taken = command_ready;
        @(negedge clk);
      end
      command_valid = 0;
    end
  endtask

  // Rows with addresses in a row, from words of the file on.
  task write_rows(input [@command_bits@-1:0] first, input integer rows, input integer word);
    for (row = 0; row < rows; row = row + 1) begin
      start_command(first + (row << {MEMORY_COMMAND["address"].offset}));
      for (lane = 0; lane < LANES; lane = lane + 1) begin
        w_word = written[word + row * LANES + lane];
        w_valid = 1;
        taken = 0;
        while (!taken) begin
          #4 taken = w_ready;
          @(negedge clk);
        end
        w_valid = 0;
      end
    end
  endtask

  task check_rows(input [@command_bits@-1:0] first, input integer rows, input integer word);
    for (row = 0; row < rows; row = row + 1) begin
      start_command(first + (row << {MEMORY_COMMAND["address"].offset}));
      for (lane = 0; lane < LANES; lane = lane + 1) begin
        r_ready = 1;
        taken = 0;
        while (!taken) begin
          #4 taken = r_valid;
          seen_word = r_word;
          @(negedge clk);
        end
        r_ready = 0;
        if (seen_word !== expected[word + row * LANES + lane]) begin
          errors = errors + 1;
          $display("space %0d, row %0d, lane %0d: %h, not %h", first[{MEMORY_COMMAND["space"].width - 1}:0],
                   first[{MEMORY_COMMAND["address"].offset} +: {MEMORY_COMMAND["address"].width}] + row, lane,
                   seen_word, expected[word + row * LANES + lane]);
        end
      end
    end
  endtask

  task send_event(input [@event_bits@-1:0] value);
    begin
      item = value;
      event_valid = 1;
      taken = 0;
      while (!taken) begin
        #4 taken = event_ready;
        @(negedge clk);
      end
      event_valid = 0;
    end
  endtask

  task start_run(input [@run_bits@-1:0] value);
    begin
      run = value;
      run_valid = 1;
      taken = 0;
      while (!taken) begin
        #4 taken = run_ready;
        @(negedge clk);
      end
      run_valid = 0;
    end
  endtask

  task check_result(input [@result_bits@-1:0] value);
    begin
      result_ready = 1;
      taken = 0;
      while (!taken) begin
        #4 taken = result_valid;
        seen = result;
        @(negedge clk);
      end
      result_ready = 0;
      if (seen !== value) begin
        errors = errors + 1;
        $display("result is %h, not %h", seen, value);
      end
    end
  endtask

  initial begin
    $readmemh("{WRITTEN}", written);
    $readmemh("{EXPECTED}", expected);
    repeat (4) @(negedge clk);
    rst = 0;
    @(negedge clk);
@body@
    if (errors != 0) $fatal(1, "FAILED: %0d differences", errors);
    $display("PASSED: all results, registers and memories are those of the golden model, %0d cycles", cycles);
    $finish;
  end
endmodule
"""
