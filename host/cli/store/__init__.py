"""Subcommands of ``opzo store``."""
