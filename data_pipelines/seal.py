"""A hash in a JSON file by which it tells whether it still is as it was written."""

import hashlib
import json
from typing import Any

_NAME = "sha256"


def sealed(content: dict[str, Any]) -> str:
  """JSON text of `content` and, last, the hash of that text without it."""
  digest = hashlib.sha256(_text(content).encode()).hexdigest()
  return _text(content | {_NAME: digest})


def is_whole(text: bytes) -> bool:
  """Whether `text`, a JSON object, is what `sealed` made, byte for byte."""
  content = json.loads(text)
  return sealed({name: value for name, value in content.items() if name != _NAME}).encode() == text


def _text(content: dict[str, Any]) -> str:
  return json.dumps(content, indent=1) + "\n"
