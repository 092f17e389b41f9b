"""The error unit: read-outs, softmax, loss, error; scales of the feedback; local read-out."""
