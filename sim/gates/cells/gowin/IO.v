// Pins. UG289 (Gowin Programmable IO User Guide), "IO Buffer": OEN = 1 switches a TBUF off; the pin is then pulled
// up, as its constraint says or as the device does by default.
module IBUF (
    input I,
    output O
);
    assign O = I;
endmodule

module OBUF (
    input I,
    output O
);
    assign O = I;
endmodule

module TBUF (
    input I, OEN,
    output O
);
    assign O = OEN | I;
endmodule
