from scoring_operator.resources.config_maps import config_map, config_map_content, describe_owner, is_owned_by
from tests.testkit.builders import UID, a_run


def test_config_map_belongs_to_its_run_and_has_its_content() -> None:
    created = config_map(a_run(), "list", "devices", b"\x00\xff")
    assert created == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "list",
            "namespace": "scoring",
            "labels": {
                "app.kubernetes.io/managed-by": "fleetscore",
                "fleetscore.dev/run": "hourly",
                "fleetscore.dev/run-uid": UID,
            },
            "ownerReferences": [
                {
                    "apiVersion": "fleetscore.dev/v1alpha1",
                    "kind": "ScoringRun",
                    "name": "hourly",
                    "uid": UID,
                    "controller": True,
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "binaryData": {"devices": "AP8="},
    }
    assert config_map_content(created, "devices") == b"\x00\xff"
    assert is_owned_by(a_run(), created)
    assert not is_owned_by(a_run(uid="another"), created)
    created["metadata"]["ownerReferences"][0]["kind"] = "Another"
    assert not is_owned_by(a_run(), created)


def test_update_names_the_version_that_it_replaces() -> None:
    assert config_map(a_run(), "progress", "progress", b"", resource_version="7")["metadata"]["resourceVersion"] == "7"


def test_config_map_without_the_key_has_no_content() -> None:
    assert config_map_content({}, "devices") == b""
    assert config_map_content({"binaryData": None}, "devices") == b""


def test_owner_of_an_object_is_described_by_kind_and_name() -> None:
    assert describe_owner({"metadata": {"ownerReferences": [{"kind": "Job", "name": "a"}]}}) == "Job a"
    assert describe_owner({"metadata": {}}) == "no known owner"
    assert not is_owned_by(a_run(), {"metadata": {}})
