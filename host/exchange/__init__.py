"""Exchange of networks with other frameworks: PyTorch state dicts, NIR graphs, rounding to the chip's formats."""
