// Flip-flops. UG288 (Gowin Configurable Function Unit User Guide), "FF": the letters behind DFF are S and R for a synchronous
// set and reset, P and C for an asynchronous preset and clear, which all override the clock enable, E. After configuration
// those with S or P are 1, the others 0. Flip-flops for the falling edge (DFFN...) are left out.
module DFF (
    input CLK, D,
    output reg Q
);
    initial Q = 0;
    always @(posedge CLK) Q <= D;
endmodule

module DFFE (
    input CLK, D, CE,
    output reg Q
);
    initial Q = 0;
    always @(posedge CLK) if (CE) Q <= D;
endmodule

module DFFS (
    input CLK, D, SET,
    output reg Q
);
    initial Q = 1;
    always @(posedge CLK) Q <= D | SET;
endmodule

module DFFSE (
    input CLK, D, CE, SET,
    output reg Q
);
    initial Q = 1;
    always @(posedge CLK)
        if (SET) Q <= 1;
        else if (CE) Q <= D;
endmodule

module DFFR (
    input CLK, D, RESET,
    output reg Q
);
    initial Q = 0;
    always @(posedge CLK) Q <= D & ~RESET;
endmodule

module DFFRE (
    input CLK, D, CE, RESET,
    output reg Q
);
    initial Q = 0;
    always @(posedge CLK)
        if (RESET) Q <= 0;
        else if (CE) Q <= D;
endmodule

module DFFP (
    input CLK, D, PRESET,
    output reg Q
);
    initial Q = 1;
    always @(posedge CLK, posedge PRESET)
        if (PRESET) Q <= 1;
        else Q <= D;
endmodule

module DFFPE (
    input CLK, D, CE, PRESET,
    output reg Q
);
    initial Q = 1;
    always @(posedge CLK, posedge PRESET)
        if (PRESET) Q <= 1;
        else if (CE) Q <= D;
endmodule

module DFFC (
    input CLK, D, CLEAR,
    output reg Q
);
    initial Q = 0;
    always @(posedge CLK, posedge CLEAR)
        if (CLEAR) Q <= 0;
        else Q <= D;
endmodule

module DFFCE (
    input CLK, D, CE, CLEAR,
    output reg Q
);
    initial Q = 0;
    always @(posedge CLK, posedge CLEAR)
        if (CLEAR) Q <= 0;
        else if (CE) Q <= D;
endmodule
