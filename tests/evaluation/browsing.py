"""Waiting for a page."""

import time


def wait_until(page, condition: str, *, seconds: float = 30.0) -> None:
  """Until a JavaScript condition holds. Asked from outside: the pages' policies forbid what Playwright waits by."""
  end = time.monotonic() + seconds
  while not page.evaluate(condition):
    assert time.monotonic() < end, f"after {seconds} s it does not hold that {condition}"
    page.wait_for_timeout(20)
