// Flip-flop of a slice. FPGA-DS-02012 (Family Data Sheet), "Slice": clock enable and local set/reset, which overrides
// the enable; SRMODE says whether it waits for the clock. After configuration the flip-flop has its reset value, REGSET.
// SD chooses the input: DI, from the LUT in front of it, or M, from outside. Yosys knows DI only.
module TRELLIS_FF #(
    parameter REGSET = "RESET",
    parameter SRMODE = "LSR_OVER_CE",
    parameter SD = "1"
) (
    input CLK, LSR, CE, DI, M,
    output reg Q
);
    localparam VALUE = REGSET == "SET";
    wire d = SD == "1" ? DI : M;
    initial Q = VALUE;
    generate
        if (SRMODE == "ASYNC") begin
            always @(posedge CLK, posedge LSR)
                if (LSR) Q <= VALUE;
                else if (CE) Q <= d;
        end else begin
            always @(posedge CLK)
                if (LSR) Q <= VALUE;
                else if (CE) Q <= d;
        end
    endgenerate
endmodule
