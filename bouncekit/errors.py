"""The one error that users meet: a sentence with the place and the way out."""


class BouncekitError(ValueError):
    """Input that cannot be used. The message names the file, the line and the way out."""
