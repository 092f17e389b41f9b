"""Services of the operating system: durable files, locks, cache, child processes, memory limits, standard streams."""
