// Multiplier of 18 x 18 bits. UG287 (Gowin DSP User Guide), "MULT18X18": operands (from the fabric, or from a neighbour's
// shift chain where ASEL or BSEL is 1), whether they are signed, the product and a stage before it, each behind a register
// that its parameter puts in. Shift chains to a neighbour (SOA, SOB) are left out.
module MULT18X18 #(
    parameter AREG = 0,
    parameter BREG = 0,
    parameter ASIGN_REG = 0,
    parameter BSIGN_REG = 0,
    parameter PIPE_REG = 0,
    parameter OUT_REG = 0,
    parameter MULT_RESET_MODE = "SYNC"
) (
    input [17:0] A,
    input [17:0] B,
    input [17:0] SIA,
    input [17:0] SIB,
    input ASIGN, BSIGN, ASEL, BSEL, CE, CLK, RESET,
    output [35:0] DOUT
);
    wire [17:0] a_in = ASEL ? SIA : A, b_in = BSEL ? SIB : B;
    reg [17:0] a_held = 0, b_held = 0;
    reg a_sign_held = 0, b_sign_held = 0;
    reg [35:0] between_held = 0, out_held = 0;
    wire [17:0] a = AREG ? a_held : a_in, b = BREG ? b_held : b_in;
    wire a_sign = ASIGN_REG ? a_sign_held : ASIGN, b_sign = BSIGN_REG ? b_sign_held : BSIGN;
    wire [35:0] full = {{18{a_sign & a[17]}}, a} * {{18{b_sign & b[17]}}, b};
    wire [35:0] between = PIPE_REG ? between_held : full;
    assign DOUT = OUT_REG ? out_held : between;
    generate
        if (MULT_RESET_MODE == "ASYNC") begin
            always @(posedge CLK, posedge RESET)
                if (RESET) {a_held, b_held, a_sign_held, b_sign_held, between_held, out_held} <= 0;
                else if (CE)
                    {a_held, b_held, a_sign_held, b_sign_held, between_held, out_held}
                        <= {a_in, b_in, ASIGN, BSIGN, full, between};
        end else begin
            always @(posedge CLK)
                if (RESET) {a_held, b_held, a_sign_held, b_sign_held, between_held, out_held} <= 0;
                else if (CE)
                    {a_held, b_held, a_sign_held, b_sign_held, between_held, out_held}
                        <= {a_in, b_in, ASIGN, BSIGN, full, between};
        end
    endgenerate
endmodule
