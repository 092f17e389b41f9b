"""The error unit: readouts, softmax, loss, error; scales of the feedback; local readout."""
