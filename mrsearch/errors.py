"""The one exception that stands for bad input."""


class UserError(Exception):
    """Something the user can put right; the message is one sentence that says what and how.

    The command line prints the message and exits with status 1; it never shows a traceback for it.
    """
