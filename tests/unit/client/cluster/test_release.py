"""The objects of a release, from a fake API server."""

from typing import Any, cast

import pytest
import yaml

from fleetscore.cluster import release
from fleetscore.cluster.connection import Cluster
from fleetscore.cluster.release import Kind
from fleetscore.errors import AccessDenied, DataInvalid, TooLarge
from tests.testkit import fake_release as fake
from tests.testkit.fake_release import FakeRelease

SCHEDULE = {"name": "daily", "fleet": "default", "window": "P1D", "delay": "PT0S", "run": {}}


@pytest.mark.parametrize(
    ("kind", "arguments", "path"),
    [
        (release.PODS, (), "/api/v1/pods"),
        (release.PODS, ("scoring",), "/api/v1/namespaces/scoring/pods"),
        (release.JOBS, ("scoring", "a"), "/apis/batch/v1/namespaces/scoring/jobs/a"),
        (release.NAMESPACES, ("", "scoring"), "/api/v1/namespaces/scoring"),
    ],
)
def test_path_has_the_group_the_namespace_and_the_name(kind: Kind, arguments: tuple[str, ...], path: str) -> None:
    assert kind.path(*arguments) == path


def names(found: Any) -> list[str]:
    return [one["metadata"]["name"] for one in found]


def test_objects_of_a_namespace_or_of_the_cluster_are_listed_by_labels(fake_release: FakeRelease) -> None:
    fake_release.lists[fake.DEPLOYMENTS].append(fake.deployment("other", "second"))
    fake_release.lists[fake.DEPLOYMENTS].append({"metadata": {"namespace": "scoring", "name": "foreign"}})
    cluster = Cluster.connect()
    selector = release.DEPLOYMENT_SELECTOR
    own = release.list_objects(cluster, release.DEPLOYMENTS, "scoring", selector=selector)
    assert names(own) == ["fleetscore-operator"]
    every = release.list_objects(cluster, release.DEPLOYMENTS, selector=selector)
    assert names(every) == ["fleetscore-operator", "second"]


@pytest.mark.parametrize(
    ("namespace", "place"), [("scoring", "in namespace scoring"), ("", "in all namespaces")], ids=["own", "all"]
)
def test_missing_right_to_list_names_the_objects_and_their_namespace(
    namespace: str, place: str, fake_release: FakeRelease
) -> None:
    fake_release.forbidden.add(release.JOBS.path(namespace))
    with pytest.raises(AccessDenied, match=f"list jobs {place}"):
        list(release.list_objects(Cluster.connect(), release.JOBS, namespace))


def test_object_that_does_not_exist_is_none(fake_release: FakeRelease) -> None:
    cluster = Cluster.connect()
    found = release.get_object(cluster, release.SECRETS, "scoring", "account")
    assert found
    assert found["metadata"]["name"] == "account"
    assert release.get_object(cluster, release.SECRETS, "scoring", "other") is None
    fake_release.forbidden.add(fake.SECRET)
    with pytest.raises(AccessDenied, match="get secrets account"):
        release.get_object(cluster, release.SECRETS, "scoring", "account")


@pytest.mark.parametrize(
    ("fields", "time"),
    [
        ([{"fieldsV1": {"f:data": {}}, "time": "2018-08-28T10:00:00Z"}], "2018-08-28T10:00:00Z"),
        (
            [
                {"fieldsV1": {"f:data": {}}, "time": "2018-08-28T10:00:00Z"},
                {"fieldsV1": {"f:data": {}}, "time": "2018-08-28T12:00:00Z"},
                {"fieldsV1": {"f:metadata": {}}, "time": "2018-08-28T14:00:00Z"},
            ],
            "2018-08-28T12:00:00Z",
        ),
        ([{"time": "2018-08-28T10:00:00Z"}, {"fieldsV1": {"f:data": {}}}], ""),
        (None, ""),
    ],
    ids=["one", "newest", "other fields", "none"],
)
def test_time_of_the_data_is_that_of_their_last_change(fields: list[dict[str, Any]] | None, time: str) -> None:
    assert release.data_changed({"metadata": {"managedFields": fields}}) == time


def test_events_of_a_namespace_are_read(fake_release: FakeRelease) -> None:
    fake_release.lists["/api/v1/events"] = [{"metadata": {"namespace": "scoring", "name": "a"}, "reason": "Failed"}]
    (event,) = release.list_events(Cluster.connect(), "scoring", "pod")
    assert event["reason"] == "Failed"


def test_schedules_of_all_releases_of_the_namespace_are_read(fake_release: FakeRelease) -> None:
    second = fake.config_map("second-schedules", fake.SCHEDULER, schedules={"schedules": [SCHEDULE]})
    foreign = fake.config_map("foreign", {}, schedules={"schedules": [{**SCHEDULE, "name": "foreign"}]})
    fake_release.lists["/api/v1/configmaps"] += [second, foreign]
    found = release.read_schedules(Cluster.connect())
    assert sorted(found) == ["daily", "hourly"]
    assert found["daily"].fleet == "default"


def a_map(text: str | None) -> dict[str, Any]:
    return {"data": None if text is None else {"schedules.yaml": text}}


def test_maps_without_schedules_have_none() -> None:
    assert release.parse_maps([a_map(None), {"data": {"other.yaml": "x"}}, {}]) == {}


def test_map_with_another_file_is_invalid() -> None:
    with pytest.raises(DataInvalid):
        release.parse_maps([a_map("- a")])


def test_files_that_are_too_large_together_are_rejected_before_they_are_parsed() -> None:
    text = yaml.safe_dump({"schedules": [SCHEDULE]})
    parts = [a_map(text + "#" * (2**20 - len(text)))] * 4
    assert list(release.parse_maps(parts)) == ["daily"]
    with pytest.raises(TooLarge, match="have more than 4,194,304 characters; delete the ConfigMaps"):
        release.parse_maps([*parts, a_map("{")])


class Reviewer:
    """A cluster that records the reviews of rights, and allows what it is asked for or not."""

    def __init__(self, status: dict[str, Any]) -> None:
        self.status = status
        self.reviews: list[tuple[str, str, dict[str, Any]]] = []

    def object(self, path: str, action: str, *, body: dict[str, Any]) -> dict[str, Any]:
        self.reviews.append((path.rpartition("/apis/authorization.k8s.io/v1/")[2], action, body))
        return {"status": self.status}


GET = {"verb": "get", "resource": "pods"}
IN_NAMESPACE = {**GET, "namespace": "scoring"}
ACCOUNT = "system:serviceaccount:scoring:operator"


@pytest.mark.parametrize(
    ("attributes", "user", "path", "kind"),
    [
        (GET, "", "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
        (IN_NAMESPACE, "", "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
        (GET, ACCOUNT, "subjectaccessreviews", "SubjectAccessReview"),
        (IN_NAMESPACE, ACCOUNT, "namespaces/scoring/localsubjectaccessreviews", "LocalSubjectAccessReview"),
    ],
    ids=["own", "own in a namespace", "of an account", "of an account in a namespace"],
)
def test_right_is_reviewed_with_the_least_rights_of_the_reviewer(
    attributes: dict[str, str], user: str, path: str, kind: str
) -> None:
    reviewer = Reviewer({"allowed": True})
    assert release.is_allowed(cast("Cluster", reviewer), attributes, user=user)
    ((reviewed, action, body),) = reviewer.reviews
    assert (reviewed, action, body["kind"]) == (path, f"create {kind.lower()}s", kind)
    assert body["spec"]["resourceAttributes"] == attributes
    assert body["spec"].get("user", "") == user


@pytest.mark.parametrize(
    ("user", "groups"),
    [
        ("ann", ["system:authenticated"]),
        (ACCOUNT, ["system:serviceaccounts", "system:serviceaccounts:scoring", "system:authenticated"]),
    ],
)
def test_groups_of_a_reviewed_user_are_part_of_the_review(user: str, groups: list[str]) -> None:
    reviewer = Reviewer({"allowed": True})
    release.is_allowed(cast("Cluster", reviewer), GET, user=user)
    assert reviewer.reviews[0][2]["spec"]["groups"] == groups


@pytest.mark.parametrize("status", [{"allowed": False}, {}, None])
def test_review_without_a_permission_is_a_denial(status: dict[str, Any]) -> None:
    assert not release.is_allowed(cast("Cluster", Reviewer(status)), GET)
