"""Stream mode: one endless run of time steps from files, pipes, sockets and cameras."""
