"""Amaranth platforms of boards that amaranth-boards lacks, or knows without the pins that opzo needs."""
