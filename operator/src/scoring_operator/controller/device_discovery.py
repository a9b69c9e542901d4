"""Device discovery: lists the fleet's storage, and reads the devices that an earlier run left unfinished.

The decisions about the listed devices are in planner.device_list.
"""

from collections.abc import Sequence
from typing import Any

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.intervals import EMPTY
from scoring_operator.api.scoringrun import GROUP, PLURAL, VERSION, RetryOf, ScoringRun, parse_run
from scoring_operator.controller.progress_store import ProgressStore
from scoring_operator.controller.quarantine_search import find_quarantined
from scoring_operator.errors import InvalidDeviceList, InvalidProgress, InvalidRun, NotFound, RunRejected
from scoring_operator.kube.client import KubeClient
from scoring_operator.planner.device_list import DiscoveredDevices
from scoring_operator.planner.quarantine import QuarantineResult
from scoring_operator.planner.retry import devices_from_report
from scoring_operator.storage.protocol import DeviceListing, FleetStorage


async def discover_devices(
    run: ScoringRun, fleet: Fleet, storage: FleetStorage, client: KubeClient
) -> DiscoveredDevices:
    """Return what a run's device list is made from.

    Args:
        run: The run.
        fleet: The run's fleet.
        storage: The Blob Storage of the fleets.
        client: The client of the API server, for the run that `devices.retryOf` names.

    Raises:
        RunRejected: The run that `devices.retryOf` names cannot be retried.
        StorageError: A listing failed.
        ApiError: A request to the API server failed.
    """
    spec, source, window = run.spec, run.spec.devices, run.spec.window
    to_retry = await _devices_to_retry(run, source.retry_of, fleet, storage, client) if source.retry_of else ()
    with_model = with_data = DeviceListing(())
    quarantine = QuarantineResult()
    if not source.ids and not source.retry_of:
        with_model = await storage.list_models(fleet)
        with_data = await storage.list_data_devices(fleet, window, with_model.devices)
        quarantine = await find_quarantined(run, fleet, with_model.devices, storage)
    predictions = await storage.list_predictions(fleet, window) if spec.write_policy == "CreateOnly" else {}
    invalid = with_model.invalid_names, with_data.invalid_names
    invalid_names = sum(one.total for one in invalid), [name for one in invalid for name in one.samples]
    return DiscoveredDevices(with_model.devices, with_data.devices, invalid_names, predictions, to_retry, quarantine)


async def _devices_to_retry(
    run: ScoringRun, retry: RetryOf, fleet: Fleet, storage: FleetStorage, client: KubeClient
) -> Sequence[str]:
    """Return the devices of an earlier run with the chosen outcomes; from the window's report if the run is deleted."""
    previous = await _previous_run(run, retry, client)
    if previous is None:
        return devices_from_report(run, retry, fleet, await storage.read_failures(fleet, run.spec.window))
    return await _devices_of(previous, retry, ProgressStore(client, previous))


async def _devices_of(previous: ScoringRun, retry: RetryOf, store: ProgressStore) -> Sequence[str]:
    """Return the devices of a finished run with the chosen outcomes. Its ConfigMaps may have been edited since."""
    try:
        stored = await store.load()
        if stored is None:
            message = f"run {previous.name!r} never had a device list: nothing to retry"
            raise RunRejected("RetryRunNotFound", message)
        devices = await store.devices(stored.progress)
    except NotFound:
        message = f"the device list of run {previous.name!r} was deleted"
        raise RunRejected("RetryRunNotFound", message) from None
    except (InvalidProgress, InvalidDeviceList) as error:
        message = f"what run {previous.name!r} left cannot be read: {error}"
        raise RunRejected("RetryRunNotFound", message) from error
    positions = EMPTY
    for outcome in retry.outcomes:
        positions = positions | stored.progress.outcomes.get(outcome[0].lower() + outcome[1:], EMPTY)
    return [devices[position] for position in positions if position < len(devices)]


async def _previous_run(run: ScoringRun, retry: RetryOf, client: KubeClient) -> ScoringRun | None:
    """Return the run that a retry names; None if it is deleted."""
    path = f"/apis/{GROUP}/{VERSION}/namespaces/{run.namespace}/{PLURAL}/{retry.name}"
    try:
        body: dict[str, Any] = await client.get(path)
        previous = parse_run(body)
    except NotFound:
        return None
    except InvalidRun:
        message = f"devices.retryOf names run {retry.name!r}, which cannot be read"
        raise RunRejected("RetryRunNotFound", message) from None
    if (previous.spec.window, previous.spec.fleet) != (run.spec.window, run.spec.fleet):
        message = f"run {retry.name!r} is of another window or fleet; retryOf needs the same"
        raise RunRejected("RetryRunDiffers", message)
    if not previous.ended:
        raise RunRejected("RetryRunActive", f"run {retry.name!r} has not ended; retry it when it has")
    return previous
