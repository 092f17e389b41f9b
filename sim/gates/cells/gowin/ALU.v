// A bit of Gowin's carry chain. UG288 (Gowin Configurable Function Unit User Guide), "ALU": it adds (ALU_MODE 0), subtracts
// with an inverted borrow (1), or does what I3 says, add at 1 (2). Comparators and counters, the other modes, are left out.
module ALU #(
    parameter [31:0] ALU_MODE = 0
) (
    input I0, I1, I3, CIN,
    output SUM, COUT
);
    wire adds = ALU_MODE == 0 ? 1'b1 : ALU_MODE == 1 ? 1'b0 : I3;
    wire half = I0 ^ I1 ^ ~adds;
    assign SUM = half ^ CIN;
    // Where the operands differ the carry goes on, else it is either of them.
    assign COUT = half ? CIN : I0;
endmodule
