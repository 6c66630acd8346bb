"""The one exception that a mistake in a book raises."""


class BookError(Exception):
    """Something its author can mend: the message is one sentence that says what and where."""
