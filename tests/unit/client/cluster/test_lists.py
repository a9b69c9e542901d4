"""Lists of any number of objects of any size."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from fleetscore.cluster.connection import Cluster
from fleetscore.cluster.lists import read_list, read_page
from fleetscore.errors import DataInvalid, TooLarge
from tests.testkit.fake_release import NAMESPACE, OPERATOR, RUNS, FakeRelease, config_map

QUERY = {"limit": "500"}
SERVER = "https://api"
RUN = {"spec": {"window": {"start": "2018-08-28T23:00:00Z", "end": "2018-08-29T00:00:00Z"}}}


def list_of(*sizes: int, max_bytes: int, queries: list[Mapping[str, str]] | None = None) -> Callable[..., bytes]:
    """Return the reader of a list whose objects have these sizes; a response above max_bytes is too large."""

    def read(query: Mapping[str, str]) -> bytes:
        if queries is not None:
            queries.append(query)
        first = int(query.get("continue", "0"))
        shown = sizes[first : first + int(query["limit"])]
        more = first + len(shown)
        items = [{"metadata": {"name": str(n)}, "x": "y" * size} for n, size in enumerate(shown, first)]
        token = str(more) if more < len(sizes) else ""
        content = json.dumps({"metadata": {"continue": token}, "items": items}).encode()
        if len(content) > max_bytes:
            raise TooLarge("too large; try less")
        return content

    return read


def names(found: Any) -> list[int]:
    return [int(one["metadata"]["name"]) for one in found]


def test_page_of_large_objects_is_read_with_fewer_of_them() -> None:
    queries: list[Mapping[str, str]] = []
    page = read_page(list_of(*[1000] * 70, max_bytes=10_000, queries=queries), QUERY, SERVER)
    assert [one["limit"] for one in queries] == ["500", "62", "7"]
    assert names(page.objects) == list(range(7))
    assert page.token == "7"


def test_single_object_above_the_limit_is_too_large() -> None:
    with pytest.raises(TooLarge, match="too large; try less"):
        read_page(list_of(1000, max_bytes=500), QUERY, SERVER)


def test_list_has_the_objects_of_all_pages_in_order() -> None:
    found = read_list(list_of(*[10] * 900, *[9000] * 30, *[10] * 900, max_bytes=100_000), {}, SERVER, "list runs")
    assert names(found) == list(range(1830))


@pytest.mark.parametrize("limits", [{"max_objects": 999}, {"max_bytes": 30_000}], ids=str)
def test_list_above_a_limit_ends_with_the_next_step(limits: dict[str, int]) -> None:
    found = read_list(list_of(*[10] * 1000, max_bytes=10**6), {}, SERVER, "list runs in namespace a", **limits)
    with pytest.raises(TooLarge, match=r"^cannot list runs in namespace a: there are more than .*; delete those that"):
        list(found)


def test_server_whose_list_does_not_end_is_read_in_bounded_requests() -> None:
    requests: list[Any] = []

    def endless(query: Mapping[str, str]) -> bytes:
        requests.append(query)
        return b'{"metadata": {"continue": "again"}, "items": []}'

    with pytest.raises(TooLarge):
        list(read_list(endless, {}, SERVER, "list runs", max_objects=5))
    assert len(requests) == 5


def test_response_above_the_limit_is_not_read(fake_release: FakeRelease) -> None:
    text = "y" * (32 * 2**20 - 200)
    fake_release.objects[f"{RUNS}/large"] = {"metadata": {"name": "large", "annotations": {"x": text + "y" * 200}}}
    with pytest.raises(TooLarge, match="cannot get run large: the response has more than 33,554,432 bytes; delete"):
        Cluster.connect().run("large")
    fake_release.objects[f"{RUNS}/small"] = {**RUN, "metadata": {"name": "small", "annotations": {"x": text}}}
    assert Cluster.connect().run("small")["metadata"]["name"] == "small"


def test_runs_have_no_managed_fields(fake_release: FakeRelease) -> None:
    fake_release.lists[RUNS] = [{**RUN, "metadata": {"name": "a", "managedFields": [{}]}}]
    assert list(Cluster.connect().runs()) == [{**RUN, "metadata": {"name": "a"}}]


def fleets_map(namespace: str, url: str, *namespaces: str) -> dict[str, Any]:
    fleet = {"name": "default", "namespaces": list(namespaces), "storage": {"accountUrl": url}}
    found: dict[str, Any] = config_map("fleetscore-fleets", OPERATOR, fleets={"fleets": [fleet]})
    found["metadata"]["namespace"] = namespace
    return found


def test_fleet_of_two_releases_is_that_which_serves_the_namespace(fake_release: FakeRelease) -> None:
    serving, other = fleets_map("a", "https://a", NAMESPACE), fleets_map("b", "https://b", "elsewhere")
    forged = {**fleets_map("c", ""), "data": {"fleets.yaml": "fleets: ["}}
    for maps in ([serving, other, forged], [forged, other, serving]):
        fake_release.lists["/api/v1/configmaps"] = maps
        assert Cluster.connect().fleets()["default"].account_url == "https://a"
    fake_release.lists["/api/v1/configmaps"] = [other]
    assert Cluster.connect().fleets()["default"].account_url == "https://b"
    fake_release.lists["/api/v1/configmaps"] = [other, forged]
    with pytest.raises(DataInvalid, match="the fleets file is invalid"):
        Cluster.connect().fleets()


def test_fleets_files_have_one_limit_together(fake_release: FakeRelease) -> None:
    good, large = (fleets_map(one, "https://a", NAMESPACE) for one in "ab")
    left = 4 * 2**20 - len(good["data"]["fleets.yaml"])
    fake_release.lists["/api/v1/configmaps"] = [good, large]
    large["data"]["fleets.yaml"] = "x" * left
    assert Cluster.connect().fleets()["default"].account_url == "https://a"
    large["data"]["fleets.yaml"] += "x"
    with pytest.raises(TooLarge, match="have more than 4,194,304 characters; delete the ConfigMaps app"):
        Cluster.connect().fleets()
