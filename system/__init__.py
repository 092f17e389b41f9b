"""What opzo asks of the operating system: files that last, locks, caches, child processes, memory bounds."""
