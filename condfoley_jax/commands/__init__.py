"""One file per command of `condfoley`: from plain arguments to files."""
