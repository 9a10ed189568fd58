"""An app that the host can't start."""


class StartError(Exception):
    """The app or its settings can't be run. The message says what is wrong and what to do about it."""
