"""YAML documents in the ConfigMaps of a release, which other clients can write.

Helm writes neither aliases nor tags. Aliases grow exponentially when a value is printed, and tags reach constructors of
the library that fail with any exception. So both are rejected, and the values and their nesting are bounded.
"""

import re
from typing import Any

import yaml

from fleetscore.errors import DataInvalid

MAX_YAML_EVENTS = 50_000
"""Values and ends of lists and mappings in a document; a fleet has about a hundred."""

MAX_YAML_DEPTH = 100
MAX_YAML_CHARS = 2**20  # a ConfigMap has at most 1 MiB
MAX_REASON_CHARS = 200

# The loader of libyaml is ten times as fast, and not every build of the library has it.
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Helm writes texts such as `2026-02-30`, `=`, `<<`, `0x_` and `1e400` without quotes, and numbers such as `1e-05`.
_RESOLVERS = {
    first: [one for one in found if one[0].rpartition(":")[2] in ("bool", "null")]
    for first, found in _SafeLoader.yaml_implicit_resolvers.items()
}
_Loader: Any = type("_Loader", (_SafeLoader,), {"yaml_implicit_resolvers": _RESOLVERS})
_INT_PATTERN = re.compile(r"-?(0|[1-9][0-9]{0,19})\Z")
_FLOAT_PATTERN = re.compile(r"-?([0-9]{1,20}[.][0-9]+|[0-9]([.][0-9]+)?e(-[0-9]{2,3}|[+][0-2]?[0-9]{2}))\Z")
for _type, _pattern in (("int", _INT_PATTERN), ("float", _FLOAT_PATTERN)):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_type}", _pattern, list("-0123456789"))


def parse_yaml(text: str, name: str) -> object:
    """Return a YAML document.

    Args:
        text: The text of the document.
        name: The name of the file, for messages.

    Raises:
        DataInvalid: The text is not YAML, is too large or nested too deeply, or has aliases or tags.
    """
    try:
        _check_events(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506  # a safe loader
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: such as a date without a month
        raise DataInvalid(f"{name} is invalid: {short_reason(error)}; `helm upgrade` writes it again") from error


def short_reason(error: Exception) -> str:
    """Return the text of an error as one line of limited length: it may repeat the whole document."""
    return " ".join(str(error)[: 10 * MAX_REASON_CHARS].split())[:MAX_REASON_CHARS]


def _check_events(text: str) -> None:
    """Raise ValueError for a document beyond the limits; first, because the constructor of values is recursive."""
    if len(text) > MAX_YAML_CHARS:
        raise ValueError(f"it has more than {MAX_YAML_CHARS:,} characters")
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_Loader)):
        has_alias = isinstance(event, yaml.AliasEvent)
        if has_alias:
            raise ValueError("it has an alias (*NAME); write the value in its place")
        if getattr(event, "tag", None):
            raise ValueError("it has a tag (!NAME); write the value without it")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_YAML_DEPTH:
            raise ValueError(f"it is nested in more than {MAX_YAML_DEPTH} levels")
        if count >= MAX_YAML_EVENTS:
            raise ValueError(f"it has more than {MAX_YAML_EVENTS:,} values")
