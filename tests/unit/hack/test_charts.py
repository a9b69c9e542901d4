from typing import Any

import pytest
from hack import charts

VALUES = """\
# The number of
# operators.
replicas: 2
image:
  # The name of the image.
  repository: example/a
  tag: ""

# A list.
fleets:
  - name: default
# The level.

level: info
"""


def test_comment_above_a_key_belongs_to_its_path() -> None:
    assert list(charts.documented_values(VALUES)) == [
        ("replicas", "The number of operators."),
        ("image", ""),
        ("image.repository", "The name of the image."),
        ("image.tag", ""),
        ("fleets", "A list."),
        ("level", ""),
    ]


def test_documented_keys_have_a_row_with_their_default() -> None:
    assert list(charts.values_rows(VALUES)) == [
        ("replicas", "`2`", "The number of operators."),
        ("image.repository", '`"example/a"`', "The name of the image."),
        ("fleets", '`[{"name": "default"}]`', "A list."),
    ]


def test_rows_of_an_item_have_the_keys_of_its_objects() -> None:
    storage = {"properties": {"url": {"description": "The URL."}}, "required": ["url"]}
    fleet = {"properties": {"name": {"description": "The name."}, "storage": storage}, "required": ["name"]}
    assert list(charts.definition_rows({"definitions": {"fleet": fleet}}, "fleet")) == [
        ("name", "yes", "The name."),
        ("storage", "", ""),
        ("storage.url", "yes", "The URL."),
    ]


NUMBER_OR_TEXT = {
    "x-kubernetes-int-or-string": True,
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "x-kubernetes-validations": [{"rule": "type(self) == int ? self >= 0 && self <= 9 : self.matches('^[0-9]+%$')"}],
}
NUMBER_OR_WORD = {
    "x-kubernetes-int-or-string": True,
    "x-kubernetes-validations": [{"rule": "type(self) == int ? self >= 1 && self <= 500 : self == 'Auto'"}],
}
CLOSED = {"properties": {"a": {}, "b": {}, "c": {}}, "additionalProperties": False}
AT_MOST_ONE = {
    "properties": {"a": {}, "b": {}},
    "x-kubernetes-validations": [{"rule": "[has(self.a), has(self.b)].filter(x, x).size() <= 1"}],
}


@pytest.mark.parametrize(
    ("field", "plain"),
    [
        ({"type": "string", "default": "a", "format": "date-time"}, {"type": "string"}),
        (NUMBER_OR_TEXT, {"type": ["integer", "string"], "minimum": 0, "maximum": 9, "pattern": "^[0-9]+%$"}),
        (NUMBER_OR_WORD, {"type": ["integer", "string"], "minimum": 1, "maximum": 500, "pattern": "^Auto$"}),
        (AT_MOST_ONE, {"properties": {"a": {}, "b": {}}, "additionalProperties": False, "maxProperties": 1}),
        (AT_MOST_ONE | {"properties": {"a": {}, "b": {}, "c": {}}}, CLOSED),
        (
            {"type": "object", "properties": {"a": {"type": "string", "x-kubernetes-list-type": "set"}}},
            {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
        ),
        ({"type": "array", "items": {"default": 1}}, {"type": "array", "items": {}}),
    ],
    ids=["default", "number or text", "number or word", "at most one", "at most one of some", "object", "list"],
)
def test_field_of_the_crd_becomes_plain_json_schema(field: dict[str, Any], plain: dict[str, Any]) -> None:
    assert charts._plain(field) == plain


def test_run_of_a_schedule_has_the_fields_that_the_schedule_does_not_set() -> None:
    fields = charts.crd_schema()["properties"]["spec"]["properties"].keys()
    assert {"fleet", "window", "parallelism"} <= fields
    assert f'"{next(iter(fields))}"' in charts.schema_text()
    assert set(charts.SET_BY_SCHEDULE) < fields


def test_rows_of_an_item_have_the_described_keys_of_lists_and_shared_definitions() -> None:
    rules = {"properties": {"after": {"description": "Windows."}, "other": {}}}
    owner = {"properties": {"name": {"description": "The owner."}}, "required": ["name"]}
    run = {"properties": {"tags": {"description": "Tags."}}}
    fleet = {
        "properties": {
            "rules": {"allOf": [{"$ref": "#/definitions/rules"}]},
            "owners": {"description": "Owners.", "items": owner},
            "run": {"allOf": [{"$ref": "#/definitions/run"}]},
        }
    }
    definitions = {"fleet": fleet, "rules": rules, "run": run}
    assert list(charts.definition_rows({"definitions": definitions}, "fleet")) == [
        ("rules", "", ""),
        ("rules.after", "", "Windows."),
        ("owners", "", "Owners."),
        ("owners[].name", "yes", "The owner."),
        ("run", "", ""),
    ]
