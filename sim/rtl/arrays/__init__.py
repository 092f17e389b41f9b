"""The chip with its lane groups as one module of arrays, which a simulator runs as loops over groups and lanes."""
