// Model of two bits of the ECP5's carry chain, after Lattice's FPGA-TN-02206 (ECP5 libraries): each bit is a LUT of four
// inputs whose output is added to the carry; the carry goes on where that output is 1, else it is the output of the
// LUT of A and B that the lowest four bits of the table are. INJECT1 puts a 0 into both.
module CCU2C #(
    parameter [15:0] INIT0 = 0,
    parameter [15:0] INIT1 = 0,
    parameter INJECT1_0 = "YES",
    parameter INJECT1_1 = "YES"
) (
    input CIN, A0, B0, C0, D0, A1, B1, C1, D1,
    output S0, S1, COUT
);
    wire sum_0 = INIT0[{D0, C0, B0, A0}];
    wire sum_1 = INIT1[{D1, C1, B1, A1}];
    wire generate_0 = INJECT1_0 == "YES" ? 1'b0 : INIT0[{2'b00, B0, A0}];
    wire generate_1 = INJECT1_1 == "YES" ? 1'b0 : INIT1[{2'b00, B1, A1}];
    wire in_0 = INJECT1_0 == "YES" ? 1'b0 : CIN;
    wire carry = sum_0 ? in_0 : generate_0;
    wire in_1 = INJECT1_1 == "YES" ? 1'b0 : carry;
    assign S0 = sum_0 ^ in_0;
    assign S1 = sum_1 ^ in_1;
    assign COUT = sum_1 ? in_1 : generate_1;
endmodule
