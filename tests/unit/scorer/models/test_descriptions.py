"""Tests of the descriptions of objects of a file."""

import pytest

from device_scorer.models.descriptions import describe_object, not_a_pipeline
from device_scorer.models.inert import Array, GlobalName, InertObject


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (InertObject("sklearn.pipeline.Pipeline"), "a Pipeline"),
        (InertObject("sklearn.ensemble._iforest.IsolationForest"), "an IsolationForest"),
        (GlobalName("sklearn.svm._classes.OneClassSVM"), "the class OneClassSVM itself"),
        (ValueError, "the class ValueError itself"),
        (Array(), "an Array"),
        (None, "a NoneType"),
    ],
)
def test_object_of_a_file_is_described_by_its_kind(value: object, text: str) -> None:
    assert describe_object(value) == text


@pytest.mark.parametrize(
    ("found", "cure"),
    [
        (("a", "b"), "found a tuple; save the steps of a tag as make_pipeline(scaler, detector)"),
        ([], "found a list; save the steps of a tag as make_pipeline(scaler, detector)"),
        ({}, "found a dict; a bundle is {tag: pipeline} for the tags of one device"),
        (5, "found an int; save one fitted pipeline for each tag"),
    ],
)
def test_object_in_place_of_a_pipeline_has_a_next_step(found: object, cure: str) -> None:
    assert str(not_a_pipeline(found)) == f"the model is invalid: expected a fitted pipeline, {cure}"
