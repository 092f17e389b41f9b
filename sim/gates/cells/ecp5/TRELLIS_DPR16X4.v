// Distributed RAM of 16 words of 4 bits: synchronous write, asynchronous read through another address. FPGA-TN-02204
// (ECP5 and ECP5-5G Memory Usage Guide), "Distributed Dual-Port RAM". Word n starts with bits 4 n .. 4 n + 3 of INITVAL.
module TRELLIS_DPR16X4 #(
    parameter [63:0] INITVAL = 0
) (
    input [3:0] DI,
    input [3:0] WAD,
    input [3:0] RAD,
    input WRE, WCK,
    output [3:0] DO
);
    reg [3:0] ram [0:15];
    integer n;
    initial for (n = 0; n < 16; n = n + 1) ram[n] = INITVAL[4 * n +: 4];
    always @(posedge WCK) if (WRE) ram[WAD] <= DI;
    assign DO = ram[RAD];
endmodule
