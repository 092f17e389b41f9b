"""Subcommands of ``opzo``: each module has ``add`` for its options and ``run``."""
