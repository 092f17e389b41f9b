"""Data sets: images, events, recordings, and what they have in common."""
