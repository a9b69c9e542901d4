"""The outcome of each device of a window. The module does no I/O, except for a fallback that looks up readings.

The predictions decide, then the run, then an earlier report of the window, then the readings.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from device_scorer.contract.run_state import DeviceOutcome
from device_scorer.report.inventory import Inventory
from device_scorer.scoring.predictions import read_before_end

SCORED, PARTIAL = DeviceOutcome("scored"), DeviceOutcome("partial")
EARLY = DeviceOutcome("partial", "", "the readings were read before the window was over; score the window again")
SOME_TAGS = DeviceOutcome("partial", "", "only the tags that a run requested are scored")
QUARANTINED = DeviceOutcome(
    "quarantined",
    "",
    "quarantined: each of the last windows failed; fix the cause, then run the device with devices.ids",
)
EMPTY, MISSING = DeviceOutcome("empty"), DeviceOutcome("missing")


@dataclass(frozen=True, slots=True)
class EarlierReport:
    """The content of an earlier report of the window that later runs over some devices do not know.

    Attributes:
        failures: The outcomes of devices that failed, were not run, or were scored in part.
        empty: The ETags of the readings of each device without readings in the window.
    """

    failures: Mapping[str, DeviceOutcome] = field(default_factory=dict)
    empty: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OutcomeRules:
    """The sources of outcomes.

    Attributes:
        recorded: The outcomes that the run recorded, by device.
        earlier: The earlier report.
        inventory: The devices with models and with readings.
        has_readings: A function that looks up the readings of a device, for an inventory without readings.
    """

    recorded: Mapping[str, DeviceOutcome]
    earlier: EarlierReport
    inventory: Inventory
    has_readings: Callable[[str], bool]

    def with_predictions(self, device: str, metadata: Mapping[str, str]) -> DeviceOutcome:
        """Return the outcome of a device that has predictions.

        Args:
            device: The device's id.
            metadata: The metadata of the predictions.
        """
        recorded = self.recorded.get(device)
        if metadata.get("tags", "*") != "*":
            return SOME_TAGS
        if read_before_end(metadata):
            return EARLY
        if metadata.get("complete", "true") == "true":
            return recorded if recorded is not None and recorded.kind == "alreadyScored" else SCORED
        known = recorded or self.earlier.failures.get(device)
        return known if known is not None and known.kind == "partial" else PARTIAL

    def without_predictions(self, device: str) -> DeviceOutcome:
        """Return the outcome of a device that has no predictions.

        Args:
            device: The device's id.
        """
        recorded = self.recorded.get(device)
        if recorded is not None and recorded.kind in ("failed", "notRun", "empty"):
            return recorded
        if recorded is not None and recorded.kind == "quarantined":
            return QUARANTINED
        earlier = self.earlier.failures.get(device)
        if recorded is None and earlier is not None and earlier.kind != "partial":
            return earlier
        if self.inventory.data_etags is None:
            return MISSING if self.has_readings(device) else EMPTY
        etags = self.inventory.data_etags.get(device)
        unchanged = recorded is None and self.earlier.empty.get(device) == etags
        return EMPTY if etags is None or unchanged else MISSING

    def is_unknown(self, device: str, outcome: DeviceOutcome) -> bool:
        """Return True if the id denotes no device: it has neither a model nor readings.

        Args:
            device: The id.
            outcome: Its outcome, without predictions.
        """
        no_model = outcome.reason == "ModelNotFound" and device not in self.inventory.models
        return no_model and self.inventory.has_readings(device) is False
