"""The one exception that a user's mistake raises."""


class UserError(Exception):
    """Something the user can mend: the message is one sentence that says what and how.

    The command line and the build print the message alone, without a traceback, and end with a
    non-zero code.
    """
