// Multiplexer that makes two LUTs of four inputs one of five: BLUT where C0 is 0, ALUT where it is 1. FPGA Libraries
// Reference Guide, "PFUMX".
module PFUMX (
    input ALUT, BLUT, C0,
    output Z
);
    assign Z = C0 ? ALUT : BLUT;
endmodule
