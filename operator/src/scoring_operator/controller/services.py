"""The objects that the reconcilers of all runs share."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from scoring_operator.api.fleets import Fleet
from scoring_operator.controller.discovery_gate import DiscoveryGate
from scoring_operator.controller.job_limiter import JobLimiter
from scoring_operator.controller.timings import Timings
from scoring_operator.kube.client import KubeClient
from scoring_operator.resources.jobs import ScorerImage
from scoring_operator.storage.protocol import FleetStorage


@dataclass(frozen=True, slots=True)
class Services:
    """The objects that the reconcilers of all runs share.

    Attributes:
        client: The client of the API server; its writes are fenced by the lease.
        storage: The Blob Storage of the fleets.
        fleets: The administrator's fleets, by name.
        image: The image of the scorer.
        limiter: The limit of active Jobs over all runs.
        timings: The intervals and limits.
        discoveries: The limit of concurrent discoveries.
    """

    client: KubeClient
    storage: FleetStorage
    fleets: Mapping[str, Fleet]
    image: ScorerImage
    limiter: JobLimiter
    timings: Timings
    discoveries: DiscoveryGate = field(default_factory=DiscoveryGate)
