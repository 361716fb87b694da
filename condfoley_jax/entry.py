"""Where the `condfoley` command begins."""

import signal


def main() -> int:
  """`cli.main`, of the words of the command line."""
  # Until the command heeds it, Ctrl-C ends it without a word: loading Python's modules takes a while, and nothing is
  # begun before that. Where it is ignored, as in the background of a script, it stays so.
  if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
  from condfoley_jax import cli

  return cli.main()
