// Block RAM of 16,384 bits, or of 18,432 as bytes of nine (X9), with two ports. UG285 (Gowin BSRAM & SSRAM User Guide), "Dual
// Port Mode", "Semi Dual Port Mode". A port is 1, 2, 4, 8, 16 or 32 bits wide, with X9 9, 18 or 36; its address is that
// of a bit, or of eight bits of nine. Wide ports have a write enable for each byte on the lowest address pins.
// Write mode 0 keeps the output while the port writes, 1 shows the new word, 2 the old one. READ_MODE 1 adds a register,
// which OCE enables. A reset clears output and register, whether the port is enabled or not.
// INIT_RAM_xx holds 32 bytes.
// A word read through one port while the other writes it is undefined: the model then inverts it. (Both ports have the
// same clock in every chip of opzo.)
module BSRAM #(
    parameter BYTE = 9,
    parameter WIDTH_A = 36,
    parameter WIDTH_B = 36,
    parameter READ_MODE_A = 0,
    parameter READ_MODE_B = 0,
    parameter WRITE_MODE_A = 0,
    parameter WRITE_MODE_B = 0,
    parameter RESET_MODE = "SYNC",
    parameter [18431:0] INIT_RAM = 0
) (
    input [35:0] DIA,
    input [13:0] ADA,
    input CLKA, ONA, WREA, OCEA, RESETA,
    output [35:0] DOA,
    input [35:0] DIB,
    input [13:0] ADB,
    input CLKB, ONB, WREB, OCEB, RESETB,
    output [35:0] DOB
);
    // Lines of four bytes, the widest words.
    localparam LINE = 4 * BYTE;
    reg [LINE - 1:0] ram [0:511];
    integer n;
    initial for (n = 0; n < 512; n = n + 1) ram[n] = INIT_RAM[LINE * n +: LINE];

    // Place of a port's word in its line, bits of the word, and those that the byte enables let through.
    function [5:0] place(input integer width, input [13:0] address);
        case (width)
            1: place = address[4:0];
            2: place = {address[4:1], 1'b0};
            4: place = {address[4:2], 2'b0};
            BYTE: place = BYTE * address[4:3];
            2 * BYTE: place = 2 * BYTE * address[4];
            default: place = 0;
        endcase
    endfunction
    function [LINE - 1:0] word(input integer width);
        word = {LINE{1'b1}} >> (LINE - width);
    endfunction
    function [LINE - 1:0] enabled(input integer width, input [13:0] address);
        enabled = width < 2 * BYTE ? word(width)
            : word(width) & {{BYTE{address[3]}}, {BYTE{address[2]}}, {BYTE{address[1]}}, {BYTE{address[0]}}};
    endfunction

    wire [8:0] line_a = ADA[13:5], line_b = ADB[13:5];
    wire [5:0] place_a = place(WIDTH_A, ADA), place_b = place(WIDTH_B, ADB);
    wire write_a = ONA && WREA, write_b = ONB && WREB, same = line_a == line_b;
    wire [LINE - 1:0] mask_a = write_a ? enabled(WIDTH_A, ADA) << place_a : 0;
    wire [LINE - 1:0] mask_b = write_b ? enabled(WIDTH_B, ADB) << place_b : 0;
    wire [LINE - 1:0] data_a = DIA[LINE - 1:0] << place_a & mask_a, data_b = DIB[LINE - 1:0] << place_b & mask_b;
    wire [LINE - 1:0] old_a = ram[line_a], old_b = ram[line_b];
    wire [LINE - 1:0] new_a = old_a & ~mask_a | data_a, new_b = old_b & ~mask_b | data_b;

    // Both may write different words of a line.
    always @(posedge CLKA) if (write_a) ram[line_a] <= same ? new_a & ~mask_b | data_b : new_a;
    always @(posedge CLKB) if (write_b) ram[line_b] <= same ? new_b & ~mask_a | data_a : new_b;

    wire [LINE - 1:0] seen_a = (WRITE_MODE_A == 1 ? new_a : old_a) ^ (same ? mask_b : 0);
    wire [LINE - 1:0] seen_b = (WRITE_MODE_B == 1 ? new_b : old_b) ^ (same ? mask_a : 0);
    wire [LINE - 1:0] read_a = seen_a >> place_a & word(WIDTH_A), read_b = seen_b >> place_b & word(WIDTH_B);
    wire latch_a = ONA && !(WREA && WRITE_MODE_A == 0), latch_b = ONB && !(WREB && WRITE_MODE_B == 0);

    reg [LINE - 1:0] latched_a = 0, out_a = 0, latched_b = 0, out_b = 0;
    generate
        if (RESET_MODE == "ASYNC") begin
            always @(posedge CLKA, posedge RESETA)
                if (RESETA) {latched_a, out_a} <= 0;
                else begin
                    if (latch_a) latched_a <= read_a;
                    if (OCEA) out_a <= latched_a;
                end
            always @(posedge CLKB, posedge RESETB)
                if (RESETB) {latched_b, out_b} <= 0;
                else begin
                    if (latch_b) latched_b <= read_b;
                    if (OCEB) out_b <= latched_b;
                end
        end else begin
            always @(posedge CLKA)
                if (RESETA) {latched_a, out_a} <= 0;
                else begin
                    if (latch_a) latched_a <= read_a;
                    if (OCEA) out_a <= latched_a;
                end
            always @(posedge CLKB)
                if (RESETB) {latched_b, out_b} <= 0;
                else begin
                    if (latch_b) latched_b <= read_b;
                    if (OCEB) out_b <= latched_b;
                end
        end
    endgenerate
    assign DOA = READ_MODE_A ? out_a : latched_a, DOB = READ_MODE_B ? out_b : latched_b;
endmodule
