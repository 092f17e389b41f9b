// Buffer into a global net, with a clock enable. FPGA-TN-02200 (ECP5 and ECP5-5G sysCLOCK PLL/DLL Design and Usage Guide),
// "Dynamic Clock Control". The enable is 1 in every chip of opzo, so the latch in front of it is left out.
module DCCA (
    input CLKI, CE,
    output CLKO
);
    assign CLKO = CLKI & CE;
endmodule
