"""Exit codes of ``opzo``."""

DONE = 0
FAILED = 1
"""The command started and then failed: a lost link, a failed test, a missed clock."""
USAGE = 2
"""The input cannot work: an option, a file, a value, a device."""
INTERRUPTED = 130
"""Ctrl-C, SIGTERM or SIGHUP; also a reader of the output that is gone."""
