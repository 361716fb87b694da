"""The error raised for anything wrong with a file the user provided, and how names are shown in it."""

import errno

# What the system says where a disk, or a bucket that is mounted, fails.
_FAILING = (errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.ECONNRESET)


class InputError(ValueError):
  """A user's file cannot be used; the message is one line that names the file and the remedy."""


def is_failing(error: BaseException | None) -> bool:
  """Whether it, or what it came of, is of a disk or network that fails, which another try may mend."""
  return error is not None and (getattr(error, "errno", None) in _FAILING or is_failing(error.__cause__))


def is_utf8(name: object) -> bool:
  """Whether a name, or a path, is text: files can have names that are not, which no JSON or HTML can hold."""
  try:
    str(name).encode()
  except UnicodeEncodeError:
    return False
  return True


def printable(text: object) -> str:
  """`text` on one line: line breaks and whatever else cannot be shown, names may hold all of it, are escaped."""
  return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
