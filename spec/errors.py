"""Errors that a user can cause or meet."""


class OpzoError(Exception):
    """Something the user gave cannot work (a file, a value, a device); the message says what and what to do.

    The command line prints it as one line, ``opzo: error: ...``, and exits with code 2.
    """


class NetworkError(OpzoError, ValueError):
    """A network that cannot exist, or that a device cannot hold; the message names the limit."""


class ChoiceError(OpzoError, ValueError):
    """A name of something that does not exist; the message lists what there is, the command line adds where to look."""


class LinkError(OpzoError):
    """The link to the device broke or the device stopped answering on the way; exit code 1."""


class ToolError(OpzoError):
    """A tool that was given what it needs failed on its way, or did not reach what was asked of it; exit code 1."""
