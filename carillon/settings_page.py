"""The settings as text: the page of the manual, and the list under `--help`."""

import textwrap
import types
from enum import Enum
from pathlib import Path
from typing import Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from carillon.settings import PREFIX, Settings

PAGE = Path("docs/settings.md")
_HEAD = """\
# Settings

Written by `make docs` from `carillon/settings.py`. None has to be set: `carillon serve` alone runs
everything on this machine. `carillon serve` also takes `--host`, `--port` and `--data-dir`, which
win over the environment.

| variable | values | default | what it does |
|---|---|---|---|
"""
_NAMES = {str: "text", int: "number", bool: "`true`, `false`", Path: "folder", SecretStr: "secret"}


def markdown() -> str:
    """Returns the manual's page."""
    rows = (
        f"| `{_variable(name)}` | {_values(field.annotation)} | {_default(field)}"
        f" | {field.description} |\n"
        for name, field in Settings.model_fields.items()
    )
    return _HEAD + "".join(rows)


def plain() -> str:
    """Returns the list for a terminal of 80 columns."""
    parts = ["settings, by environment variable:"]
    for name, field in Settings.model_fields.items():
        default = _default(field).replace("`", "")
        shown = f" (default: {default})" if default else ""
        parts.append(f"  {_variable(name)}{shown}")
        parts.append(textwrap.indent(textwrap.fill(field.description or "", 72), " " * 6))
    return "\n".join(parts).replace("`", "")


def _variable(name: str) -> str:
    return f"{PREFIX}{name}".upper()


def _values(annotation: object) -> str:
    arguments = get_args(annotation)
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{member.value}`" for member in annotation)
    if get_origin(annotation) in {Union, types.UnionType}:
        return _values(next(part for part in arguments if part is not types.NoneType))
    if get_origin(annotation) is tuple:
        return "list"
    return _NAMES[annotation] if annotation in _NAMES else str(annotation)


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is None or value is PydanticUndefined or value == ():
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
