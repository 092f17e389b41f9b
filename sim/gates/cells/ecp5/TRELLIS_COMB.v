// Logic half of half a slice, as nextpnr places it, where it is 16 bits of distributed RAM: one of four bits of
// TRELLIS_DPR16X4. FPGA-DS-02012 (ECP5 and ECP5-5G Family Data Sheet), "RAM Mode". The LUT's inputs are the read address,
// permuted: its bits 3, 2, 1, 0 are A, C, B, D; the write address comes through TRELLIS_RAMW in the usual order.
module TRELLIS_COMB_DPRAM #(
    parameter [15:0] INITVAL = 0
) (
    input A, B, C, D, WD, WAD0, WAD1, WAD2, WAD3, WRE, WCK,
    output F
);
    reg [15:0] ram;
    integer n;
    initial for (n = 0; n < 16; n = n + 1) ram[{n[0], n[2], n[1], n[3]}] = INITVAL[n];
    always @(posedge WCK) if (WRE) ram[{WAD3, WAD2, WAD1, WAD0}] <= WD;
    assign F = ram[{A, C, B, D}];
endmodule
