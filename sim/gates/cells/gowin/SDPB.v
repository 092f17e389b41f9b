// Block RAM that port A writes and port B reads; BLK_SEL is what the port's BLKSEL must be. BSRAM.v says what it does.
// RESETA, of latches that are not read, is left out.
module SDPB #(
    parameter BIT_WIDTH_0 = 32,
    parameter BIT_WIDTH_1 = 32,
    parameter READ_MODE = 0,
    parameter [2:0] BLK_SEL_0 = 0,
    parameter [2:0] BLK_SEL_1 = 0,
    parameter RESET_MODE = "SYNC",
    parameter [16383:0] INIT_RAM = 0
) (
    input [31:0] DI,
    input [13:0] ADA,
    input [2:0] BLKSELA,
    input CLKA, CEA,
    input [13:0] ADB,
    input [2:0] BLKSELB,
    input CLKB, CEB, OCE, RESETB,
    output [31:0] DO
);
    wire [35:0] unused, wide;
    BSRAM #(
        .BYTE(8), .WIDTH_A(BIT_WIDTH_0), .WIDTH_B(BIT_WIDTH_1), .READ_MODE_B(READ_MODE), .RESET_MODE(RESET_MODE),
        .INIT_RAM(INIT_RAM)
    ) ram (
        .DIA({4'b0, DI}), .ADA(ADA), .CLKA(CLKA), .ONA(CEA && BLKSELA == BLK_SEL_0), .WREA(1'b1), .OCEA(1'b0), .RESETA(1'b0),
        .DOA(unused), .DIB(36'b0), .ADB(ADB), .CLKB(CLKB), .ONB(CEB && BLKSELB == BLK_SEL_1), .WREB(1'b0), .OCEB(OCE),
        .RESETB(RESETB), .DOB(wide)
    );
    assign DO = wide[31:0];
endmodule

module SDPX9B #(
    parameter BIT_WIDTH_0 = 36,
    parameter BIT_WIDTH_1 = 36,
    parameter READ_MODE = 0,
    parameter [2:0] BLK_SEL_0 = 0,
    parameter [2:0] BLK_SEL_1 = 0,
    parameter RESET_MODE = "SYNC",
    parameter [18431:0] INIT_RAM = 0
) (
    input [35:0] DI,
    input [13:0] ADA,
    input [2:0] BLKSELA,
    input CLKA, CEA,
    input [13:0] ADB,
    input [2:0] BLKSELB,
    input CLKB, CEB, OCE, RESETB,
    output [35:0] DO
);
    wire [35:0] unused, wide;
    BSRAM #(
        .BYTE(9), .WIDTH_A(BIT_WIDTH_0), .WIDTH_B(BIT_WIDTH_1), .READ_MODE_B(READ_MODE), .RESET_MODE(RESET_MODE),
        .INIT_RAM(INIT_RAM)
    ) ram (
        .DIA(DI), .ADA(ADA), .CLKA(CLKA), .ONA(CEA && BLKSELA == BLK_SEL_0), .WREA(1'b1), .OCEA(1'b0), .RESETA(1'b0),
        .DOA(unused), .DIB(36'b0), .ADB(ADB), .CLKB(CLKB), .ONB(CEB && BLKSELB == BLK_SEL_1), .WREB(1'b0), .OCEB(OCE),
        .RESETB(RESETB), .DOB(wide)
    );
    assign DO = wide[35:0];
endmodule
