"""The chip's groups of lanes as one module of arrays, which a simulator runs as loops over groups and lanes."""
