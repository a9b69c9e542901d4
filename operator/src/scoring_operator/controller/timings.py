"""The intervals and limits of the process, as one frozen value that the manager creates and passes down."""

from dataclasses import dataclass, field

from scoring_operator.kube.client import ClientTimeouts
from scoring_operator.kube.informer import RELIST_INTERVAL_SECONDS
from scoring_operator.kube.leader_election import ElectionTimings
from scoring_operator.planner.types import PlannerLimits


@dataclass(frozen=True, slots=True)
class ControllerTimings:
    """The intervals of the controller, in seconds, and its limits.

    Attributes:
        min_reconcile_interval: The time between the starts of two passes of one run.
        resync_interval: The time after which all runs are listed, and after which a run has a pass without an event.
        list_retry_interval: The delay before runs are listed again after a failure.
        first_list_timeout: The time for which the first passes wait for the first list of each namespace.
        max_backoff: The longest delay after a failed pass.
        save_interval: The time between two writes of progress that no other write depends on.
        status_interval: The time between two writes of a run's status. The end of a run is written at once.
        collect_interval: The time between two collections of the results of completed Jobs.
        assumed_timeout: The time after which the API server is asked for an assumed Job.
        stall_timeout: The time without a result and without a running pod after which pending pods are inspected.
        inspection_interval: The time between two inspections of pending pods.
        discovery_retry_interval: The delay before devices are discovered again after a failure.
        storage_backoff: The delay before outcome records are read again after a failure.
        offer_delay: The time for which free slots are gathered before waiting runs are woken. Each run that takes slots
            saves its progress first.
        gathering_time: The time for which the event loop gathers events after a wait.
        gathering_min_jobs: The number of active Jobs from which the event loop gathers events.
    """

    min_reconcile_interval: float = 0.2
    resync_interval: float = 60.0
    list_retry_interval: float = 5.0
    first_list_timeout: float = 15.0
    max_backoff: float = 30.0
    save_interval: float = 2.0
    status_interval: float = 1.0
    collect_interval: float = 2.0
    assumed_timeout: float = 30.0
    stall_timeout: float = 20.0
    inspection_interval: float = 10.0
    discovery_retry_interval: float = 5.0
    storage_backoff: float = 5.0
    offer_delay: float = 1.0
    gathering_time: float = 0.3
    gathering_min_jobs: int = 20


@dataclass(frozen=True, slots=True)
class ProcessTimings:
    """The intervals of the process, in seconds.

    Attributes:
        liveness_timeout: The silence of a watch, of kopf or of the controller after which the process is not alive. An
            API server that was unreachable is back before.
        stop_timeout: The time that the process waits for the end of its thread.
        load_interval: The time between two updates of the load metrics.
        restart_delay: The delay before a failed controller is started again.
        kopf_restart_delay: The delay before kopf is started again after its end.
        kopf_inactivity_timeout: The silence after which kopf closes its watch.
        kopf_request_timeout: The timeout of kopf's requests.
        kopf_backoffs: The delays between kopf's attempts at a request; the last one repeats.
        namespace_recheck_interval: The time between two checks whether a namespace can be listed again.
    """

    liveness_timeout: float = 600.0
    stop_timeout: float = 20.0
    load_interval: float = 5.0
    restart_delay: float = 5.0
    kopf_restart_delay: float = 2.0
    kopf_inactivity_timeout: float = 70.0
    kopf_request_timeout: float = 30.0
    kopf_backoffs: tuple[float, ...] = (1, 1, 2, 3, 5, 8, 13, 20)
    namespace_recheck_interval: float = 30.0


@dataclass(frozen=True, slots=True)
class Timings:
    """All intervals and limits of one operator.

    Attributes:
        planner: The limits of the planner.
        controller: The intervals of the controller.
        client: The timeouts of the Kubernetes client.
        election: The timings of leader election.
        relist_interval: Seconds after which the informer lists its collection again.
        process: The intervals of the process.
    """

    planner: PlannerLimits = field(default_factory=PlannerLimits)
    controller: ControllerTimings = field(default_factory=ControllerTimings)
    client: ClientTimeouts = field(default_factory=ClientTimeouts)
    election: ElectionTimings = field(default_factory=ElectionTimings)
    relist_interval: float = RELIST_INTERVAL_SECONDS
    process: ProcessTimings = field(default_factory=ProcessTimings)


DEFAULT_TIMINGS = Timings()
