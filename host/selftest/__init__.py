"""Self-test of a device: each module one step, ``suite`` their order."""
