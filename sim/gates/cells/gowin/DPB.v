// Block RAM with two ports that read and write; BLK_SEL is what the port's BLKSEL must be. BSRAM.v says what it does.
module DPB #(
    parameter BIT_WIDTH_0 = 16,
    parameter BIT_WIDTH_1 = 16,
    parameter READ_MODE0 = 0,
    parameter READ_MODE1 = 0,
    parameter WRITE_MODE0 = 0,
    parameter WRITE_MODE1 = 0,
    parameter [2:0] BLK_SEL_0 = 0,
    parameter [2:0] BLK_SEL_1 = 0,
    parameter RESET_MODE = "SYNC",
    parameter [16383:0] INIT_RAM = 0
) (
    input [15:0] DIA,
    input [13:0] ADA,
    input [2:0] BLKSELA,
    input CLKA, CEA, WREA, OCEA, RESETA,
    output [15:0] DOA,
    input [15:0] DIB,
    input [13:0] ADB,
    input [2:0] BLKSELB,
    input CLKB, CEB, WREB, OCEB, RESETB,
    output [15:0] DOB
);
    wire [35:0] wide_a, wide_b;
    BSRAM #(
        .BYTE(8), .WIDTH_A(BIT_WIDTH_0), .WIDTH_B(BIT_WIDTH_1), .READ_MODE_A(READ_MODE0), .READ_MODE_B(READ_MODE1),
        .WRITE_MODE_A(WRITE_MODE0), .WRITE_MODE_B(WRITE_MODE1), .RESET_MODE(RESET_MODE), .INIT_RAM(INIT_RAM)
    ) ram (
        .DIA({20'b0, DIA}), .ADA(ADA), .CLKA(CLKA), .ONA(CEA && BLKSELA == BLK_SEL_0), .WREA(WREA), .OCEA(OCEA),
        .RESETA(RESETA), .DOA(wide_a), .DIB({20'b0, DIB}), .ADB(ADB), .CLKB(CLKB), .ONB(CEB && BLKSELB == BLK_SEL_1),
        .WREB(WREB), .OCEB(OCEB), .RESETB(RESETB), .DOB(wide_b)
    );
    assign DOA = wide_a[15:0], DOB = wide_b[15:0];
endmodule

module DPX9B #(
    parameter BIT_WIDTH_0 = 18,
    parameter BIT_WIDTH_1 = 18,
    parameter READ_MODE0 = 0,
    parameter READ_MODE1 = 0,
    parameter WRITE_MODE0 = 0,
    parameter WRITE_MODE1 = 0,
    parameter [2:0] BLK_SEL_0 = 0,
    parameter [2:0] BLK_SEL_1 = 0,
    parameter RESET_MODE = "SYNC",
    parameter [18431:0] INIT_RAM = 0
) (
    input [17:0] DIA,
    input [13:0] ADA,
    input [2:0] BLKSELA,
    input CLKA, CEA, WREA, OCEA, RESETA,
    output [17:0] DOA,
    input [17:0] DIB,
    input [13:0] ADB,
    input [2:0] BLKSELB,
    input CLKB, CEB, WREB, OCEB, RESETB,
    output [17:0] DOB
);
    wire [35:0] wide_a, wide_b;
    BSRAM #(
        .BYTE(9), .WIDTH_A(BIT_WIDTH_0), .WIDTH_B(BIT_WIDTH_1), .READ_MODE_A(READ_MODE0), .READ_MODE_B(READ_MODE1),
        .WRITE_MODE_A(WRITE_MODE0), .WRITE_MODE_B(WRITE_MODE1), .RESET_MODE(RESET_MODE), .INIT_RAM(INIT_RAM)
    ) ram (
        .DIA({18'b0, DIA}), .ADA(ADA), .CLKA(CLKA), .ONA(CEA && BLKSELA == BLK_SEL_0), .WREA(WREA), .OCEA(OCEA),
        .RESETA(RESETA), .DOA(wide_a), .DIB({18'b0, DIB}), .ADB(ADB), .CLKB(CLKB), .ONB(CEB && BLKSELB == BLK_SEL_1),
        .WREB(WREB), .OCEB(OCEB), .RESETB(RESETB), .DOB(wide_b)
    );
    assign DOA = wide_a[17:0], DOB = wide_b[17:0];
endmodule
