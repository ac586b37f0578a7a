"""What a person may have got wrong on the command line."""


class UsageError(Exception):
    """One clear line that says what to do; the command ends with status 2."""
