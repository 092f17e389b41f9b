"""The command line ``opzo``."""
