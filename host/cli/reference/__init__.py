"""Subcommands of ``opzo reference``."""
