"""The tags of a device that can be scored."""

from collections.abc import Collection, Mapping
from itertools import islice
from typing import NamedTuple

from device_scorer.errors import ModelNotFound, PermanentError
from device_scorer.models.bundle import Bundle, Model
from device_scorer.plurals import counted

MAX_NAMED_TAGS = 3
MAX_TAG_CHARS = 60


class SelectedTags(NamedTuple):
    """The tags to score: the models by tag, and the errors of requested tags that cannot be scored."""

    models: dict[str, Model]
    failed: dict[str, PermanentError]


def select_tags(bundle: Bundle, requested_tags: frozenset[str] | None) -> SelectedTags:
    """Return the tags of the bundle that are requested.

    Args:
        bundle: The device's models.
        requested_tags: The tags to score; None selects all tags of the bundle.

    Raises:
        PermanentError: None of the tags can be scored; the type is the one of the first tag's error.
    """
    tags = sorted(bundle.models if requested_tags is None else requested_tags)
    missing = ModelNotFound("the device's bundle has no model for this tag")
    found = {tag: bundle.models.get(tag, missing) for tag in tags}
    failed = {tag: model for tag, model in found.items() if isinstance(model, PermanentError)}
    models = {tag: model for tag, model in found.items() if not isinstance(model, PermanentError)}
    if not models:
        raise error_of_all(failed or {"": ModelNotFound("the bundle has no models")})
    return SelectedTags(models, failed)


def error_of_all(failed: Mapping[str, PermanentError]) -> PermanentError:
    """Return the error of a device of which no tag can be scored: the type is the one of the first tag's error.

    Args:
        failed: The error by tag; not empty.
    """
    tag, error = next(iter(failed.items()))
    return type(error)(f"none of its {counted(len(failed), 'tag', 'tags')} can be scored; tag {tag!r}: {error}")


def name_some(tags: Collection[str]) -> str:
    """Return at most MAX_NAMED_TAGS of the tags by name, and the number of the others.

    Args:
        tags: The tags.
    """
    named = ", ".join(repr(tag[:MAX_TAG_CHARS]) for tag in islice(tags, MAX_NAMED_TAGS))
    return f"{named} and {len(tags) - MAX_NAMED_TAGS:,} more" if len(tags) > MAX_NAMED_TAGS else named
