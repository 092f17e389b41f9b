"""The fast twin: the golden model's arithmetic, compiled; equal to it in every state after any number of samples."""
