"""The paper's methods in PyTorch: nothing here knows the chip."""
