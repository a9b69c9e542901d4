"""Training of a device: read its past readings, fit its models, write its bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from device_scorer.contract import blob_paths
from device_scorer.errors import BlobUnreadable, ModelInvalid, PermanentError
from device_scorer.models import bundle as bundles
from device_scorer.models.expectations import Expectation
from device_scorer.models.sklearn_messages import one_line
from device_scorer.settings import Settings
from device_scorer.store.base import Store
from device_scorer.training.behaviour import observe_sensor, range_coverage
from device_scorer.training.fit import MAX_ROWS, TagRejected, encode_trained_bundle, fit
from device_scorer.training.past_readings import read_past_readings
from device_scorer.window import Window

MAX_CAUSE_CHARS = 200


@dataclass(frozen=True, slots=True)
class TrainedDevice:
    """The result of training a device.

    Attributes:
        models: The number of trained models; 0 if no bundle was written.
        rejected_tags: The reason by tag that gets no model.
        bad_rows: The number of unusable rows, and of rows that the fleet's quality rules exclude.
        unreadable: The error by name of a blob that cannot be read.
        kept_tags: The tags whose models of the earlier bundle remain, because no model was trained.
        dropped_tags: The tags of the earlier bundle whose models do not remain.
        earlier_error: The reason that the earlier bundle cannot be read; empty if it can.
        outliers: The number of readings that were left out as outliers, by tag.
        coverage: The share of the newest readings in the range of the earlier ones, by tag with enough readings.
        first_time: The time of the first reading, in seconds since the epoch; 0 without readings.
        last_time: The time of the last reading.
        bad_sample: The reason of the first row of `bad_rows`.
    """

    models: int
    rejected_tags: Mapping[str, TagRejected]
    bad_rows: int
    unreadable: Mapping[str, str]
    kept_tags: Sequence[str] = ()
    dropped_tags: Sequence[str] = ()
    earlier_error: str = ""
    outliers: Mapping[str, int] | None = None
    coverage: Mapping[str, float] | None = None
    first_time: int = 0
    last_time: int = 0
    bad_sample: str = ""


@dataclass(frozen=True, slots=True)
class _EarlierBundle:
    models: Mapping[str, Any]
    expectations: Mapping[str, Expectation]
    unusable: Sequence[str] = ()
    error: str = ""


def train_device(
    store: Store,
    settings: Settings,
    device: str,
    names: Sequence[str],
    *,
    window: Window,
    max_rows: int = MAX_ROWS,
    keep_earlier: bool = True,
) -> TrainedDevice:
    """Train a device's models and replace its bundle; without any model the earlier bundle remains.

    Args:
        store: The store.
        settings: The fleet's settings.
        device: The device's id.
        names: The names of the device's blobs with readings.
        window: The window of the readings to train on.
        max_rows: The number of readings of a tag that are used; at least 2.
        keep_earlier: True to keep the earlier models of tags that get no new model.

    Raises:
        ModelInvalid: An earlier model cannot be written again. Nothing is written.
    """
    past = read_past_readings(store, settings, device, names, window)
    fitted = fit(past.values, max_rows=max_rows)
    readings = {tag: (past.times[tag][used], past.values[tag][used]) for tag, used in fitted.used.items()}
    earlier, kept = _EarlierBundle({}, {}), {}
    if fitted.models:
        name = blob_paths.model_name(settings.models_path, device)
        earlier = _read_earlier(store, settings, name, without=fitted.models)
        kept = dict(earlier.models) if keep_earlier else {}
        expectations = {tag: earlier.expectations[tag] for tag in kept if tag in earlier.expectations}
        for tag, (times, numbers) in readings.items():
            expectations[tag] = observe_sensor(times, numbers, settings.quality.rule(tag))
        try:
            content = encode_trained_bundle({**kept, **fitted.models}, expectations)
        except Exception as error:  # pickling runs the code of an earlier model
            cause = one_line(f"{type(error).__name__}: {error}")[:MAX_CAUSE_CHARS]
            message = f"an earlier model of {device} cannot be written again: {cause}; --prune drops earlier models"
            raise ModelInvalid(message) from error
        store.write("models", name, content, overwrite=True)
    found = {tag: range_coverage(numbers) for tag, (_, numbers) in readings.items()}
    return TrainedDevice(
        models=len(fitted.models),
        rejected_tags=fitted.rejected,
        bad_rows=past.bad_rows,
        unreadable=past.unreadable,
        kept_tags=sorted(kept),
        dropped_tags=sorted({*earlier.models, *earlier.unusable} - kept.keys()),
        earlier_error=earlier.error,
        outliers=fitted.outliers,
        coverage={tag: share for tag, share in found.items() if share is not None},
        first_time=min((int(times[0]) for times in past.times.values() if len(times)), default=0),
        last_time=max((int(times[-1]) for times in past.times.values() if len(times)), default=0),
        bad_sample=past.bad_sample,
    )


def _read_earlier(store: Store, settings: Settings, name: str, *, without: Mapping[str, Any]) -> _EarlierBundle:
    """Return the models of the existing bundle, except those of the tags in `without`."""
    limits = settings.limits
    try:
        blob = store.read("models", name, max_bytes=limits.max_model_bytes)
        if blob is None:
            return _EarlierBundle({}, {})
        bundle = bundles.load(
            blob.content,
            max_unpacked_bytes=limits.max_model_unpacked_bytes,
            trust_any=settings.trust_any_model,
        )
        bundle.close()
        others = bundle.models.keys() - without.keys()
        if not others:
            return _EarlierBundle({}, {})
        from device_scorer.models import sklearn_loader  # noqa: PLC0415  imports scikit-learn

        plain = bundles.decompress(blob.content, limits.max_model_unpacked_bytes)
        loaded = sklearn_loader.load_detectors(plain, trust_any=settings.trust_any_model).detectors
    except (PermanentError, BlobUnreadable) as error:
        return _EarlierBundle({}, {}, error=str(error)[:MAX_CAUSE_CHARS])
    usable = {tag: loaded[tag] for tag in others if not isinstance(loaded.get(tag), PermanentError | None)}
    models = {tag: detector.estimator for tag, detector in usable.items()}  # type: ignore[union-attr]  # no errors
    return _EarlierBundle(models, bundle.expectations, unusable=sorted(others - models.keys()))
