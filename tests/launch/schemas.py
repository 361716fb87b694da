"""What JobSet and Kueue take: their published custom resource definitions as JSON schemas, without their words.

`python -m tests.launch.schemas CRD.yaml ...` writes schemas.json from the files under config/components/crd/bases of
kubernetes-sigs/jobset (08dfbdf) and kubernetes-sigs/kueue (ff69552). A field that they do not name is refused; some of
pods that take much room, and that we have no use for, are left out.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

FILE = Path(__file__).with_suffix(".json")
_KEPT = ("type", "required", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems")
_LEFT_OUT = ("ephemeralContainers", "initContainers", "affinity")


def problems(manifest: Mapping[str, Any]) -> list[str]:
  """What a manifest has that its kind does not take; a kind that is not known is a problem too."""
  schema = json.loads(FILE.read_text()).get(f"{manifest.get('apiVersion')} {manifest.get('kind')}")
  if schema is None:
    return [f"no schema of {manifest.get('apiVersion')} {manifest.get('kind')}"]
  found = jsonschema.Draft202012Validator(schema).iter_errors(manifest)
  return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in found]


def _reduced(schema: Mapping[str, Any]) -> dict[str, Any]:
  """A part of a definition as JSON Schema; fields that are not named are refused."""
  if schema.get("x-kubernetes-int-or-string"):
    return {"type": ["integer", "string"]}
  found = {key: schema[key] for key in _KEPT if key in schema}
  if "properties" in schema:
    parts = {name: _reduced(part) for name, part in schema["properties"].items() if name not in _LEFT_OUT}
    found |= {"properties": parts, "additionalProperties": False}
  elif isinstance(schema.get("additionalProperties"), Mapping):
    found["additionalProperties"] = _reduced(schema["additionalProperties"])
  if "items" in schema:
    found["items"] = _reduced(schema["items"])
  return found


def _schemas(definition: Mapping[str, Any]) -> Iterator[tuple[str, dict]]:
  spec = definition["spec"]
  version = next(version for version in spec["versions"] if version["storage"])
  schema = _reduced(version["schema"]["openAPIV3Schema"])
  # What the cluster tells.
  schema["properties"].pop("status", None)
  # Definitions leave it to Kubernetes.
  schema["properties"]["metadata"] = {
    "type": "object",
    "required": ["name"],
    "properties": {
      "name": {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63},
      "labels": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 63}},
      "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
      "namespace": {"type": "string"},
    },
    "additionalProperties": False,
  }
  yield f"{spec['group']}/{version['name']} {spec['names']['kind']}", schema


if __name__ == "__main__":
  made = {}
  for path in sys.argv[1:]:
    made |= dict(_schemas(yaml.safe_load(Path(path).read_text())))
  FILE.write_text(json.dumps(made, separators=(",", ":")) + "\n")
