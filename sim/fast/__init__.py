"""The compiled model: the golden model's arithmetic in C++, with equal state after any number of samples."""
