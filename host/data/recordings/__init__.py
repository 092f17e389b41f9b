"""Recordings of event cameras in the manufacturers' file formats."""
