"""The descriptions of objects of a file, for error texts."""

from typing import Any

from device_scorer.errors import ModelInvalid
from device_scorer.models.inert import GlobalName, InertObject
from device_scorer.models.sklearn_messages import one_line


def describe_object(value: Any) -> str:
    """Return the kind of an object of a file, as the end of the sentence "found ...".

    Args:
        value: The object, of the inert reader or of scikit-learn's.
    """
    if isinstance(value, (type, GlobalName)):
        return f"the class {value.text.rpartition('.')[2] if isinstance(value, GlobalName) else value.__name__} itself"
    name = value.class_name.rpartition(".")[2] if isinstance(value, InertObject) else type(value).__name__
    return f"{'an' if name[:1] in 'AEIOaeio' else 'a'} {one_line(name)[:80]}"


def not_a_pipeline(found: Any) -> ModelInvalid:
    """Return the error of a tag that has something else than a fitted estimator.

    Args:
        found: The object in place of the estimator.
    """
    text = f"the model is invalid: expected a fitted pipeline, found {describe_object(found)}"
    if isinstance(found, (tuple, list)):
        return ModelInvalid(f"{text}; save the steps of a tag as make_pipeline(scaler, detector)")
    if isinstance(found, dict):
        return ModelInvalid(f"{text}; a bundle is {{tag: pipeline}} for the tags of one device")
    return ModelInvalid(f"{text}; save one fitted pipeline for each tag")
