"""Data sets: images, event samples, recordings of event cameras, and what they share."""
