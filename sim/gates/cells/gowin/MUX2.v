// Multiplexers that make two look-up tables of n inputs one of n + 1. UG288 (Gowin Configurable Function Unit User Guide),
// "MUX2": I1 where S0 is 1.
module MUX2_LUT5 (
    input I0, I1, S0,
    output O
);
    assign O = S0 ? I1 : I0;
endmodule

module MUX2_LUT6 (
    input I0, I1, S0,
    output O
);
    assign O = S0 ? I1 : I0;
endmodule

module MUX2_LUT7 (
    input I0, I1, S0,
    output O
);
    assign O = S0 ? I1 : I0;
endmodule

module MUX2_LUT8 (
    input I0, I1, S0,
    output O
);
    assign O = S0 ? I1 : I0;
endmodule
