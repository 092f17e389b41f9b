"""Stream mode: a continuous run of time steps from files, pipes, sockets and cameras."""
