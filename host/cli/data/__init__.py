"""Subcommands of ``opzo data``."""
