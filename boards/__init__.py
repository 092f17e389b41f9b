"""Board tops, pin-outs and bitstream builds."""
