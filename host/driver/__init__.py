"""Driver of a device: transport, link, typed calls, state, ports."""
