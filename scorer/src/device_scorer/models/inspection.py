"""The description of a bundle for people: its tags, their detectors, and the reason why a tag cannot be used."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from device_scorer.errors import ModelInvalid, ModelRejected, PermanentError
from device_scorer.models import bundle as bundles
from device_scorer.models import closed_form, unpickler
from device_scorer.models.bundle import Bundle
from device_scorer.models.inert import MAX_NUMBER, Array, ClosedFormMissing, InertObject
from device_scorer.models.pickle_functions import ScikitLearnNeeded
from device_scorer.models.sklearn_bundle import RemoteModel
from device_scorer.models.sklearn_messages import UNKNOWN_VERSION, clean_version, one_line

CLOSED_FORM, SCIKIT_LEARN = "closed form", "scikit-learn"
MAX_PARAMETERS = 100
MAX_PARAMETER_CHARS = 100
MAX_PARAMETER_NUMBERS = 16
"""Size of an array up to which its numbers are parts of a description; a larger one is described by its shape."""


@dataclass(frozen=True, slots=True)
class TagDescription:
    """The description of one tag's model.

    Attributes:
        tag: The tag.
        detector: The names of the pipeline's steps, such as "StandardScaler -> OneClassSVM"; empty if unknown.
        sklearn_version: The version of scikit-learn that fitted the model, or "unknown".
        evaluated_by: CLOSED_FORM or SCIKIT_LEARN; empty for an unusable model.
        problem: The reason and the text of the error; empty for a usable model.
        parameters: The settings and fitted numbers by the name of the step: texts, numbers, lists of at most
            MAX_PARAMETER_NUMBERS numbers, and the shapes of larger arrays as text. Empty if only scikit-learn can read
            the file.
    """

    tag: str
    detector: str
    sklearn_version: str
    evaluated_by: str
    problem: str
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, compare=False)


def describe_bundle(content: bytes, *, max_unpacked_bytes: int, trust_any: bool) -> list[TagDescription]:
    """Return the description of each tag of a bundle, sorted by tag.

    Args:
        content: The bundle, compressed or not.
        max_unpacked_bytes: The largest allowed size after decompression, in bytes.
        trust_any: True to load a bundle that names code outside the allow-list.

    Raises:
        PermanentError: The whole bundle cannot be used.
    """
    records = _inert_models(bundles.decompress(content, max_unpacked_bytes))
    with closing(bundles.load(content, max_unpacked_bytes=max_unpacked_bytes, trust_any=trust_any)) as bundle:
        return [_describe(tag, bundle, records.get(tag)) for tag in sorted(bundle.models)]


def _inert_models(plain: bytes) -> Mapping[str, Any]:
    """Return the inert objects by tag; empty if only scikit-learn can read the file."""
    try:
        return bundles.models_by_tag(unpickler.load_inert(plain))
    except (ModelInvalid, ModelRejected, ScikitLearnNeeded):
        return {}


def _describe(tag: str, bundle: Bundle, record: Any) -> TagDescription:
    model = bundle.models[tag]
    detector, version = _names(record)
    numbers = _parameters(record)
    if isinstance(model, PermanentError):
        return TagDescription(tag, detector, version, "", one_line(f"{model.reason}: {model}"), numbers)
    if isinstance(model, RemoteModel):
        return TagDescription(tag, model.kind, model.sklearn_version, SCIKIT_LEARN, "", numbers)
    return TagDescription(tag, detector, model.sklearn_version, CLOSED_FORM, "", numbers)


def _parameters(record: Any) -> dict[str, dict[str, Any]]:
    """Return the settings and fitted numbers of an inert object, by step."""
    found: dict[str, dict[str, Any]] = {}
    for number, estimator in enumerate(_estimators(record), 1):
        name = estimator.class_name.rpartition(".")[2]
        found[f"{name} {number}" if name in found else name] = {
            str(key)[:MAX_PARAMETER_CHARS]: plain
            for key, value in list(estimator.attributes.items())[:MAX_PARAMETERS]
            if not str(key).startswith("_") and (plain := _plain_value(value)) is not None
        }
    return found


def _plain_value(value: Any) -> Any:
    """Return a value as JSON has it; None for a value without a short form."""
    if isinstance(value, Array):
        try:
            numbers = value.to_floats() if value.count <= MAX_PARAMETER_NUMBERS else None
        except (ModelInvalid, ClosedFormMissing):
            numbers = None
        if numbers is None or not all(map(isfinite, numbers)):
            return f"array of shape {tuple(value.shape[:8])}"
        return numbers
    if isinstance(value, str):
        return one_line(value)[:MAX_PARAMETER_CHARS]
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < MAX_NUMBER else None
    return value if isinstance(value, float) and isfinite(value) else None


def _estimators(record: Any) -> list[InertObject]:
    if not isinstance(record, InertObject):
        return []
    try:
        return closed_form.estimators_of(record)
    except ClosedFormMissing:
        return [record]


def _names(record: Any) -> tuple[str, str]:
    """Return the names of the steps of an inert object, and its version of scikit-learn."""
    if not isinstance(record, InertObject):
        return "", UNKNOWN_VERSION
    names = [estimator.class_name.rpartition(".")[2] for estimator in _estimators(record)]
    return " -> ".join(names), clean_version(record.attributes.get("_sklearn_version"))
