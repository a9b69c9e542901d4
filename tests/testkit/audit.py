"""The requests of clients to a cluster's API server and its responses, read from the audit log as it grows."""

import json
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Request:
    """One answered request in a namespace."""

    user: str
    verb: str
    resource: str
    subresource: str
    name: str
    code: int
    time: str  # when it came in

    @property
    def is_write(self) -> bool:
        return self.verb in ("create", "update", "patch", "delete")


class Audit:
    """The audit log by namespace."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0
        self._reading = threading.Lock()
        self._found: dict[str, list[Request]] = defaultdict(list)

    def of(self, namespace: str) -> list[Request]:
        """Return all requests in a namespace so far."""
        with self._reading, self._path.open("rb") as log:
            log.seek(self._at)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._at += len(line)
                self._take(json.loads(line))
            return list(self._found[namespace])

    def _take(self, event: dict[str, dict[str, str]]) -> None:
        target, answer = event.get("objectRef", {}), event.get("responseStatus", {})
        if "namespace" not in target:
            return
        request = Request(
            user=event["user"].get("username", ""),  # a starting server does not know its users yet
            verb=str(event["verb"]),
            resource=target.get("resource", ""),
            subresource=target.get("subresource", ""),
            name=target.get("name", ""),
            code=int(answer.get("code", 0)),
            time=str(event["requestReceivedTimestamp"]),
        )
        self._found[target["namespace"]].append(request)


def created_jobs(requests: list[Request], prefix: str = "") -> Counter[str]:
    """Return how often each Job whose name has the prefix was created; the requests are all of a namespace.

    If a client dies before the response, the log has 504, whether the Job was created or not. The Job was created if a
    later request found it before the next creation.
    """
    created: Counter[str] = Counter()
    unknown = set()
    for one in sorted(requests, key=lambda request: request.time):
        if one.resource != "jobs" or not one.name.startswith(prefix):
            continue
        creation = (one.verb, one.subresource) == ("create", "")
        if creation and one.code == 504:
            unknown.add(one.name)
        elif one.code < 300:
            created[one.name] += creation or one.name in unknown
            unknown.discard(one.name)
    return +created
