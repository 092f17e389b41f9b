"""opzo: an FPGA accelerator that trains spiking neural networks on the chip, and its host driver."""

__version__ = "0.1.0"
