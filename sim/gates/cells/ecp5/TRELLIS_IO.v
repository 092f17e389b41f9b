// Pin. FPGA-TN-02032 (ECP5 and ECP5-5G sysI/O Usage Guide): T = 1 switches the output off; the pin is then pulled up. An
// input and an output are modules of their own, because Verilator wants to know the direction of B.
module TRELLIS_IO_INPUT (
    input B,
    output O
);
    assign O = B;
endmodule

module TRELLIS_IO_OUTPUT (
    input I, T,
    output B
);
    assign B = T | I;
endmodule
