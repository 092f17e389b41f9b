// Block RAM of 1,024 words of 18 bits with two ports. FPGA-TN-02204 (ECP5 and ECP5-5G Memory Usage Guide), "True
// Dual-Port RAM" and "Pseudo Dual-Port RAM". Each port is 1, 2, 4, 9 or 18 bits wide; with 36 bits, writing is on port A
// and its upper half on the data pins of port B, reading is on port B and its lower half on the outputs of port A. Narrow
// words lie in the word of 18 bits as in two bytes of 9; those of 1, 2 and 4 bits leave bit 8 of a byte out. Wide ports
// have a write enable for each byte on the lowest address pins.
// INITVAL_xx holds 16 words of 18 bits, each in 20 bits.
// A word read through one port while the other writes it is undefined: the model then inverts it. (Both ports have the
// same clock in every chip of opzo.)
module DP16KD #(
    parameter DATA_WIDTH_A = 18,
    parameter DATA_WIDTH_B = 18,
    parameter REGMODE_A = "NOREG",
    parameter REGMODE_B = "NOREG",
    parameter RESETMODE = "SYNC",
    parameter WRITEMODE_A = "NORMAL",
    parameter WRITEMODE_B = "NORMAL",
    parameter [2:0] CSDECODE_A = 0,
    parameter [2:0] CSDECODE_B = 0,
    parameter [20479:0] INITVAL = 0
) (
    input [17:0] DIA,
    input [13:0] ADA,
    input [2:0] CSA,
    input CEA, OCEA, CLKA, WEA, RSTA,
    output [17:0] DOA,
    input [17:0] DIB,
    input [13:0] ADB,
    input [2:0] CSB,
    input CEB, OCEB, CLKB, WEB, RSTB,
    output [17:0] DOB
);
    localparam PSEUDO = DATA_WIDTH_A == 36 || DATA_WIDTH_B == 36;
    reg [17:0] ram [0:1023];
    integer n;
    initial for (n = 0; n < 1024; n = n + 1) ram[n] = INITVAL[20 * n +: 18];

    wire on_a = CEA && CSA == CSDECODE_A, on_b = CEB && CSB == CSDECODE_B;
    wire write_a = on_a && WEA, write_b = on_b && WEB && !PSEUDO;

    // Pair of words of a port's address.
    wire [8:0] pair_a = ADA[13:5], pair_b = ADB[13:5];

    // Bits of a pair that a port writes, and the data at their places.
    function [35:0] mask(input integer width, input [13:0] address);
        case (width)
            36: mask = {{9{address[3]}}, {9{address[2]}}, {9{address[1]}}, {9{address[0]}}};
            18: mask = {18'b0, {9{address[1]}}, {9{address[0]}}} << (18 * address[4]);
            9: mask = 36'h1ff << (9 * address[4:3]);
            4: mask = 36'hf << (9 * address[4:3] + 4 * address[2]);
            2: mask = 36'h3 << (9 * address[4:3] + 2 * address[2:1]);
            default: mask = 36'h1 << (9 * address[4:3] + address[2:0]);
        endcase
    endfunction
    function [5:0] place(input integer width, input [13:0] address);
        case (width)
            36: place = 0;
            18: place = 18 * address[4];
            9: place = 9 * address[4:3];
            4: place = 9 * address[4:3] + 4 * address[2];
            2: place = 9 * address[4:3] + 2 * address[2:1];
            default: place = 9 * address[4:3] + address[2:0];
        endcase
    endfunction
    function [35:0] narrow(input integer width, input [35:0] value);
        case (width)
            36: narrow = value;
            18: narrow = value & 36'h3ffff;
            9: narrow = value & 36'h1ff;
            4: narrow = value & 36'hf;
            2: narrow = value & 36'h3;
            default: narrow = value & 36'h1;
        endcase
    endfunction

    wire [35:0] mask_a = write_a ? mask(DATA_WIDTH_A, ADA) : 36'b0, mask_b = write_b ? mask(DATA_WIDTH_B, ADB) : 36'b0;
    wire [35:0] data_a = {DATA_WIDTH_A == 36 ? DIB : 18'b0, DIA} << place(DATA_WIDTH_A, ADA);
    wire [35:0] data_b = {18'b0, DIB} << place(DATA_WIDTH_B, ADB);
    wire [35:0] old_a = {ram[{pair_a, 1'b1}], ram[{pair_a, 1'b0}]}, old_b = {ram[{pair_b, 1'b1}], ram[{pair_b, 1'b0}]};
    wire [35:0] new_a = old_a & ~mask_a | data_a & mask_a, new_b = old_b & ~mask_b | data_b & mask_b;
    wire same = pair_a == pair_b;

    always @(posedge CLKA) if (write_a) {ram[{pair_a, 1'b1}], ram[{pair_a, 1'b0}]} <= new_a;
    generate
        if (!PSEUDO)
            always @(posedge CLKB) if (write_b) {ram[{pair_b, 1'b1}], ram[{pair_b, 1'b0}]} <= new_b;
    endgenerate

    // What a port reads: its own write as its mode says, a word that the other port writes inverted.
    wire [35:0] seen_a = (WRITEMODE_A == "WRITETHROUGH" ? new_a : old_a) ^ (same ? mask_b : 36'b0);
    wire [35:0] seen_b = (WRITEMODE_B == "WRITETHROUGH" ? new_b : old_b) ^ (same ? mask_a : 36'b0);
    wire [35:0] read_a = narrow(DATA_WIDTH_A, seen_a >> place(DATA_WIDTH_A, ADA));
    wire [35:0] read_b = narrow(DATA_WIDTH_B, seen_b >> place(DATA_WIDTH_B, ADB));
    wire latch_a = on_a && !(WEA && WRITEMODE_A == "NORMAL"), latch_b = on_b && !(WEB && WRITEMODE_B == "NORMAL");

    reg [17:0] latched_a = 0, out_a = 0;
    reg [35:0] latched_b = 0, out_b = 0;
    generate
        if (RESETMODE == "ASYNC") begin
            always @(posedge CLKA, posedge RSTA)
                if (RSTA) {latched_a, out_a} <= 0;
                else begin
                    if (latch_a) latched_a <= read_a[17:0];
                    if (OCEA) out_a <= latched_a;
                end
            always @(posedge CLKB, posedge RSTB)
                if (RSTB) {latched_b, out_b} <= 0;
                else begin
                    if (latch_b) latched_b <= read_b;
                    if (OCEB) out_b <= latched_b;
                end
        end else begin
            always @(posedge CLKA)
                if (RSTA) {latched_a, out_a} <= 0;
                else begin
                    if (latch_a) latched_a <= read_a[17:0];
                    if (OCEA) out_a <= latched_a;
                end
            always @(posedge CLKB)
                if (RSTB) {latched_b, out_b} <= 0;
                else begin
                    if (latch_b) latched_b <= read_b;
                    if (OCEB) out_b <= latched_b;
                end
        end
    endgenerate
    wire [17:0] shown_a = REGMODE_A == "OUTREG" ? out_a : latched_a;
    wire [35:0] shown_b = REGMODE_B == "OUTREG" ? out_b : latched_b;
    assign DOA = DATA_WIDTH_B == 36 ? shown_b[17:0] : shown_a;
    assign DOB = DATA_WIDTH_B == 36 ? shown_b[35:18] : shown_b[17:0];
endmodule
