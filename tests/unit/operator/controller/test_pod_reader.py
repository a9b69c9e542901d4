"""Pods and events, of which every client of the namespace may create any number."""

from typing import Any

import msgspec

from scoring_operator.api.views import PodView
from scoring_operator.controller import pod_reader
from scoring_operator.controller.pod_reader import PodReader
from scoring_operator.kube.listing import Listing
from tests.testkit.builders import pod_metadata
from tests.unit.operator.controller.in_memory_client import InMemoryClient

NAMES = [f"job-{number:03}" for number in range(100)]


class FloodedClient(InMemoryClient):
    """A client whose lists are incomplete, and have none of the Jobs' own pods, if they select a flooded Job.

    Attributes:
        flooded: The names of Jobs whose label other pods have.
        selected: The names of the Jobs of each list.
    """

    def __init__(self, *flooded: str) -> None:
        super().__init__()
        self.flooded = set(flooded)
        self.selected: list[list[str]] = []

    async def list(self, path: str, **options: Any) -> Any:
        assert path == "/api/v1/namespaces/scoring/pods"
        names = options["label_selector"].partition("(")[2].rstrip(")").split(",")
        self.selected.append(names)
        if self.flooded & set(names):
            label = {"batch.kubernetes.io/job-name": names[0]}
            forged = msgspec.convert({"metadata": {"name": "a", "labels": label}}, PodView)
            return Listing([forged] * 1000, complete=False)
        return Listing([msgspec.convert({"metadata": pod_metadata(name)}, PodView) for name in names])


async def test_pods_with_the_label_of_one_job_do_not_hide_those_of_the_others() -> None:
    client = FloodedClient("job-042")
    found = await PodReader(client, "scoring").pods(NAMES)
    assert found.unread == {"job-042"}
    assert [name for name in NAMES if len(found.by_job[name]) != 1] == ["job-042"]
    assert len(client.selected) <= 15


async def test_number_of_lists_is_limited_if_every_job_has_too_many_pods() -> None:
    assert (pod_reader.JOBS_PER_LIST, pod_reader.MAX_POD_LISTS, pod_reader.MAX_EVENTS) == (100, 20, 2000)
    client = FloodedClient(*NAMES)
    found = await PodReader(client, "scoring").pods(NAMES)
    assert (found.unread, len(client.selected)) == (frozenset(NAMES), 20)
    assert not any(found.by_job.values())


async def test_no_job_has_pods_without_a_request() -> None:
    client = FloodedClient()
    assert (await PodReader(client, "scoring").pods([])).by_job == {}
    assert client.selected == []
