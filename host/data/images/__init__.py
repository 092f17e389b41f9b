"""Images: pixels with labels, and readers of image files."""
