"""Images: pixels with labels, and the files they come in."""
