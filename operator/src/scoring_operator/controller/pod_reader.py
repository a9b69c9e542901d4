"""The pods of Jobs, and events, read within limits: every client of the namespace may create both.

A pod counts only if its Job owns it. A list that reaches a limit is repeated for each half of its Jobs, so that the
pods with the label of one Job do not hide those of the others.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from scoring_operator.api.views import EventView, PodView
from scoring_operator.kube.client import KubeClient

JOBS_PER_LIST = 100  # names in one label selector: 6 KB of URL
MAX_POD_LISTS = 20  # for the pods of 100 Jobs: enough to find one Job with too many
MAX_EVENTS = 2000  # of one request
TERMINAL_SELECTOR = "status.phase!=Pending,status.phase!=Running"


@dataclass(frozen=True, slots=True)
class PodsOfJobs:
    """Pods by the name of their Job.

    Attributes:
        by_job: The pods of each Job.
        unread: The Jobs of which pods may exist that were not read, because a limit was reached.
    """

    by_job: Mapping[str, Sequence[PodView]]
    unread: frozenset[str] = frozenset()


class PodReader:
    """Reads pods and events of one namespace.

    Args:
        client: The client of the API server.
        namespace: The namespace.
    """

    def __init__(self, client: KubeClient, namespace: str) -> None:
        self._client = client
        self._path = f"/api/v1/namespaces/{namespace}"

    async def pods(self, jobs: Sequence[str], field_selector: str = "") -> PodsOfJobs:
        """Return the pods of at most 100 Jobs.

        Args:
            jobs: The names of the Jobs.
            field_selector: The field selector in Kubernetes' notation. The default selects all pods.

        Raises:
            ApiError: A request failed.
        """
        by_job: dict[str, list[PodView]] = {name: [] for name in jobs}
        unread: set[str] = set()
        waiting = deque([list(jobs)] if jobs else [])
        for _ in range(MAX_POD_LISTS):
            if not waiting:
                break
            names = waiting.popleft()
            found = await self._client.list(
                f"{self._path}/pods",
                label_selector=f"batch.kubernetes.io/job-name in ({','.join(names)})",
                field_selector=field_selector,
                type=PodView,
            )
            if not found.complete and len(names) > 1:
                half = len(names) // 2
                waiting += (names[:half], names[half:])
                continue
            if not found.complete:
                unread.update(names)
            for pod in found.items:
                if pod.job in by_job:
                    by_job[pod.job].append(pod)
        return PodsOfJobs(by_job, frozenset(unread.union(chain(*waiting))))

    async def events(self, field_selector: str) -> list[EventView]:
        """Return events, at most 2,000 and those of the last page.

        Args:
            field_selector: The field selector in Kubernetes' notation.

        Raises:
            ApiError: The request failed.
        """
        path = f"{self._path}/events"
        return (
            await self._client.list(path, field_selector=field_selector, max_items=MAX_EVENTS, type=EventView)
        ).items
