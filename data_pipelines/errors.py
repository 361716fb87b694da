"""The error raised for anything wrong with a file the user provided."""


class InputError(ValueError):
  """A user's file cannot be used; the message is one line that names the file and the remedy."""
