// Two bits of the ECP5's carry chain. FPGA-DS-02012 (ECP5 and ECP5-5G Family Data Sheet), "Ripple Mode"; FPGA Libraries
// Reference Guide, "CCU2C": each bit is a LUT of four inputs whose output is added to the carry; the carry goes on where
// that output is 1, else it is the output of the LUT of A and B that the lowest four bits of the table are. With INJECT1
// the sum is that of a 0 and a carry of 0 begins; a carry that goes on is not touched: nextpnr feeds chains through it.
module CARRY #(
    parameter INJECT1 = "NO"
) (
    input SUM, START, IN,
    output S, OUT
);
    wire added = INJECT1 == "YES" ? 1'b0 : IN;
    wire start = INJECT1 == "YES" ? 1'b0 : START;
    assign S = SUM ^ added;
    assign OUT = SUM ? IN : start;
endmodule

module CCU2C #(
    parameter [15:0] INIT0 = 0,
    parameter [15:0] INIT1 = 0,
    parameter INJECT1_0 = "YES",
    parameter INJECT1_1 = "YES"
) (
    input CIN, A0, B0, C0, D0, A1, B1, C1, D1,
    output S0, S1, COUT
);
    wire carry;
    CARRY #(.INJECT1(INJECT1_0)) low (
        .SUM(INIT0[{D0, C0, B0, A0}]), .START(INIT0[{2'b00, B0, A0}]), .IN(CIN), .S(S0), .OUT(carry)
    );
    CARRY #(.INJECT1(INJECT1_1)) high (
        .SUM(INIT1[{D1, C1, B1, A1}]), .START(INIT1[{2'b00, B1, A1}]), .IN(carry), .S(S1), .OUT(COUT)
    );
endmodule
