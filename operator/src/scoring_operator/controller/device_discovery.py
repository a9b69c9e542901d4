"""Finding a run's devices: what storage lists, and what an earlier run left over. Decides nothing."""

from collections.abc import Sequence
from typing import Any

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.intervals import EMPTY
from scoring_operator.api.scoringrun import GROUP, PLURAL, VERSION, RetryOf, ScoringRun, parse_run
from scoring_operator.controller.progress_store import ProgressStore
from scoring_operator.errors import InvalidDeviceList, InvalidProgress, InvalidRun, NotFound
from scoring_operator.kube.client import KubeClient
from scoring_operator.planner.device_list import DiscoveredDevices
from scoring_operator.planner.retry import devices_from_report
from scoring_operator.planner.types import Blocker
from scoring_operator.storage.protocol import DeviceListing, FleetStorage


async def discover_devices(
    run: ScoringRun, fleet: Fleet, storage: FleetStorage, cluster: KubeClient
) -> DiscoveredDevices | Blocker:
    """Find what a run needs for its device list; or why it cannot have one.

    Raises:
        StorageError: storage does not answer.
        ApiError: the API server does not answer.
    """
    source, window = run.spec.devices, run.spec.window
    retried = await _left_over(run, source.retry_of, fleet, storage, cluster) if source.retry_of else ()
    if isinstance(retried, Blocker):
        return retried
    models = with_data = DeviceListing((), ())
    if not source.ids and not source.retry_of:
        models = await storage.list_models(fleet)
        with_data = await storage.list_data_devices(fleet, window, models.devices)
    create_only = run.spec.write_policy == "CreateOnly"
    predictions = await storage.list_predictions(fleet, window) if create_only else {}
    return DiscoveredDevices(
        models.devices, with_data.devices, (*models.invalid_names, *with_data.invalid_names), predictions, retried
    )


async def _left_over(
    run: ScoringRun, retry: RetryOf, fleet: Fleet, storage: FleetStorage, cluster: KubeClient
) -> Sequence[str] | Blocker:
    """Devices of an earlier run with one of the outcomes; of one that is gone, as the window's report has them."""
    earlier = await _earlier(run, retry, cluster)
    if earlier is None:
        return devices_from_report(run, retry, fleet, await storage.read_failures(fleet, run.spec.window))
    if isinstance(earlier, Blocker):
        return earlier
    return await _devices_of(earlier, retry, ProgressStore(cluster, earlier))


async def _devices_of(earlier: ScoringRun, retry: RetryOf, records: ProgressStore) -> Sequence[str] | Blocker:
    """Devices of an ended run with one of the outcomes, by what it left; its ConfigMaps may have been edited since."""
    try:
        saved = await records.load()
        if saved is None:
            return Blocker("RetryRunNotFound", f"run {earlier.name!r} never had a device list: nothing to retry")
        devices = await records.devices(saved.progress.snapshot.device_list_names)
    except NotFound:
        return Blocker("RetryRunNotFound", f"the device list of run {earlier.name!r} was deleted")
    except (InvalidProgress, InvalidDeviceList) as error:
        return Blocker("RetryRunNotFound", f"what run {earlier.name!r} left cannot be read: {error}")
    positions = EMPTY
    for outcome in retry.outcomes:
        positions = positions | saved.progress.outcomes.get(outcome[0].lower() + outcome[1:], EMPTY)
    return [devices[position] for position in positions if position < len(devices)]


async def _earlier(run: ScoringRun, retry: RetryOf, cluster: KubeClient) -> ScoringRun | Blocker | None:
    """The run that a retry names, or why it cannot be retried; None where it is gone."""
    path = f"/apis/{GROUP}/{VERSION}/namespaces/{run.namespace}/{PLURAL}/{retry.name}"
    try:
        body: dict[str, Any] = await cluster.get(path)
        earlier = parse_run(body)
    except NotFound:
        return None
    except InvalidRun:
        return Blocker("RetryRunNotFound", f"devices.retryOf names run {retry.name!r}, which cannot be read")
    if (earlier.spec.window, earlier.spec.fleet) != (run.spec.window, run.spec.fleet):
        return Blocker("RetryRunDiffers", f"run {retry.name!r} is of another window or fleet; retryOf needs the same")
    if not earlier.ended:
        return Blocker("RetryRunActive", f"run {retry.name!r} has not ended; retry it when it has")
    return earlier
