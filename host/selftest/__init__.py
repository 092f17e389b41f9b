"""Self-test of a device: ``suite`` runs the modules of ``steps`` in order."""
