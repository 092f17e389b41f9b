// Write port of distributed RAM: the inputs of a slice's LUTs lead to the address and data of its neighbours. FPGA-DS-02012
// (Family Data Sheet), "RAM Mode"; which input is which bit is from the configuration of the device (Project Trellis).
module TRELLIS_RAMW (
    input A0, B0, C0, D0, A1, B1, C1, D1,
    output WADO0, WADO1, WADO2, WADO3, WDO0, WDO1, WDO2, WDO3
);
    assign {WADO3, WADO2, WADO1, WADO0} = {A0, C0, B0, D0};
    assign {WDO3, WDO2, WDO1, WDO0} = {B1, D1, A1, C1};
endmodule
