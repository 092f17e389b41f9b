"""Errors with a message for the user."""


class OpzoError(Exception):
    """Invalid input: a file, a value, a device. The message says what is wrong, where, and what to do.

    The command line prints it as one line, ``opzo: error: ...``, and exits with code 2.
    """


class NetworkError(OpzoError, ValueError):
    """An invalid network, or one that is too large for a device; the message names the limit."""


class ChoiceError(OpzoError, ValueError):
    """An unknown name. The message lists the known ones; the command line adds a hint to the help."""


class LinkError(OpzoError):
    """The link to the device broke, or the device stopped answering, during a command; exit code 1."""


class ToolError(OpzoError):
    """A tool failed on valid input, or did not meet a requirement; exit code 1."""
