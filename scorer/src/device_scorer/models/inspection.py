"""The description of a bundle for people: its tags, their detectors, and the reason why a tag cannot be used."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from device_scorer.errors import ModelInvalid, ModelRejected, PermanentError
from device_scorer.models import bundle as bundles
from device_scorer.models import closed_form, unpickler
from device_scorer.models.bundle import Bundle
from device_scorer.models.inert import InertObject, NotClosedForm
from device_scorer.models.pickle_functions import NeedsScikitLearn
from device_scorer.models.sklearn_bundle import RemoteModel
from device_scorer.models.sklearn_messages import UNKNOWN_VERSION, clean_version, one_line

CLOSED_FORM, SCIKIT_LEARN = "closed form", "scikit-learn"


@dataclass(frozen=True, slots=True)
class TagDescription:
    """The description of one tag's model.

    Attributes:
        tag: The tag.
        detector: The names of the pipeline's steps, such as "StandardScaler -> OneClassSVM"; empty if unknown.
        sklearn_version: The version of scikit-learn that fitted the model, or "unknown".
        evaluated_by: CLOSED_FORM or SCIKIT_LEARN; empty for an unusable model.
        problem: The reason and the text of the error; empty for a usable model.
    """

    tag: str
    detector: str
    sklearn_version: str
    evaluated_by: str
    problem: str


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
    except (ModelInvalid, ModelRejected, NeedsScikitLearn):
        return {}


def _describe(tag: str, bundle: Bundle, record: Any) -> TagDescription:
    model = bundle.models[tag]
    detector, version = _names(record)
    if isinstance(model, PermanentError):
        return TagDescription(tag, detector, version, "", one_line(f"{model.reason}: {model}"))
    if isinstance(model, RemoteModel):
        return TagDescription(tag, model.kind, model.sklearn_version, SCIKIT_LEARN, "")
    return TagDescription(tag, detector, model.sklearn_version, CLOSED_FORM, "")


def _names(record: Any) -> tuple[str, str]:
    """Return the names of the steps of an inert object, and its version of scikit-learn."""
    if not isinstance(record, InertObject):
        return "", UNKNOWN_VERSION
    try:
        estimators = closed_form.estimators_of(record)
    except NotClosedForm:
        estimators = [record]
    names = [estimator.class_name.rpartition(".")[2] for estimator in estimators]
    return " -> ".join(names), clean_version(record.attributes.get("_sklearn_version"))
