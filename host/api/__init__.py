"""The Python API: models, connections, data, notebooks."""
