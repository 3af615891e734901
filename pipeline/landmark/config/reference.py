"""Markdown references of YAML files in docs/reference, generated from their pydantic models."""

from collections.abc import Iterator
from typing import Any

from landmark.config.recipe import Recipe
from landmark.core.yaml_files import StrictModel

Schema = dict[str, Any]

_BOUNDS = {"minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}"}
_NAMES = {"object": "mapping", "boolean": "true or false", "date-time": "datetime"}
_HEADER = """# Recipe

Keys of a recipe (`manifests/*.yaml`). Generated from `landmark/config/` by `make docs`; do not edit.
"""


def recipe_reference() -> str:
    """Render the keys of recipes."""
    return model_reference(Recipe, _HEADER)


def model_reference(model: type[StrictModel], header: str) -> str:
    """Render all keys with type, default and description: a table per mapping, nested ones after their parent."""
    schema = model.model_json_schema()
    return "\n".join([header, *_section((), schema, schema["$defs"])])


def _section(path: tuple[str, ...], schema: Schema, models: dict[str, Schema]) -> Iterator[str]:
    if path:
        yield f"## {'.'.join(path)}\n"
    yield f"{schema['description']}\n"
    yield "| key | type | default | description |\n|---|---|---|---|"
    for key, value in schema["properties"].items():
        columns = (
            _type(value, (*path, key)),
            _default(value, required=key in schema.get("required", ())),
            value["description"],
        )
        escaped = [column.replace("|", r"\|") for column in columns]
        yield f"| `{key}` | {' | '.join(escaped)} |"
    yield ""
    for key, value in schema["properties"].items():
        if name := _model_name(value):
            yield from _section((*path, key), models[name], models)


def _model_name(schema: Schema) -> str | None:
    """Name of the model of a key, of the items of a list or mapping, or of one option of a union."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    items = (schema.get(key) for key in ("items", "additionalProperties"))
    nested = [*schema.get("anyOf", ()), *(item for item in items if isinstance(item, dict))]
    return next((name for option in nested if (name := _model_name(option))), None)


def _type(schema: Schema, path: tuple[str, ...]) -> str:
    if "$ref" in schema:
        return f"[mapping](#{''.join(path)})"
    if "enum" in schema:
        return " | ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(_type(option, path) for option in schema["anyOf"] if option.get("type") != "null")
    if "prefixItems" in schema:
        return f"[{', '.join(_type(item, path) for item in schema['prefixItems'])}]"
    if schema["type"] == "array":
        return f"list of {_type(schema['items'], path)}"
    if isinstance(values := schema.get("additionalProperties"), dict):
        return f"mapping to {_type(values, path)}"
    name = str(schema.get("format", schema["type"]))
    return " ".join(
        [_NAMES.get(name, name), *(text.format(schema[key]) for key, text in _BOUNDS.items() if key in schema)]
    )


def _default(schema: Schema, *, required: bool) -> str:
    value = schema.get("default")
    if required:
        return "required"
    if isinstance(value, list):
        return f"`[{', '.join(value)}]`"
    if value in (None, "") or isinstance(value, dict):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
