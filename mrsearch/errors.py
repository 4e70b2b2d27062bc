"""The exceptions that the command line turns into one sentence."""


class UserError(Exception):
    """Something the user can put right; the message is one sentence that says what and how.

    The command line prints the message and exits with status 1; it never shows a traceback for it.
    """


class JobFailed(UserError):
    """A job that was set up well came to a bad end; the message says where its logs are."""
