"""Scoring of one device: check existing predictions, read models and readings, score, write atomically."""

import itertools
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from types import MappingProxyType
from typing import NamedTuple

from device_scorer.contract import blob_paths
from device_scorer.contract.digest import DeviceDigest
from device_scorer.contract.outcome_message import ALREADY_SCORED, EMPTY, PARTIAL, SCORED, Outcome, RowCounts
from device_scorer.errors import ConfigurationInvalid, PermanentError, StorageUnavailable
from device_scorer.models.bundle import Bundle
from device_scorer.plurals import counted, plural
from device_scorer.scoring import predictions
from device_scorer.scoring.context import DeviceDeadline, ScoringContext
from device_scorer.scoring.inputs import current_input_versions, open_bundle, read_partitions, readings_changed
from device_scorer.scoring.predictions import ExistingState, InputVersions
from device_scorer.scoring.scorer import Scorer
from device_scorer.scoring.tag_selection import MAX_NAMED_TAGS, MAX_TAG_CHARS, name_some, select_tags
from device_scorer.store.base import BlobInfo, Store, md5_hex

READINGS_CHANGED = (
    "the readings changed after they were scored; score the window with the write policy IfChanged to include them, or "
    "delete the predictions if the readings are now empty"
)
MAX_ERROR_CHARS = 200
MAX_WRITE_CONFLICTS = 4
"""Number of attempts to write predictions that other writers overwrite at the same time."""


class _ScoredDevice(NamedTuple):
    """The result of scoring a device: predictions to write, or (without content) an outcome without predictions."""

    outcome: Outcome
    content: bytes = b""
    metadata: Mapping[str, str] = MappingProxyType({})


def score_device(device: str, context: ScoringContext, deadline: DeviceDeadline) -> Outcome:
    """Score one device of the request's window.

    Args:
        device: The device's id.
        context: The context of the process.
        deadline: The device's deadline and view of the store.

    Returns:
        The permanent outcome.

    Raises:
        DeviceError: The device has no predictions; the error has the reason.
    """
    if not blob_paths.DEVICE_ID_PATTERN.fullmatch(device):
        rule = blob_paths.DEVICE_ID_RULE
        raise ConfigurationInvalid(f"device id {device[:130]!r} is invalid: it must have {rule}")
    with ExitStack() as held:
        return _score_and_write(device, context, deadline, held)


def _score_and_write(device: str, context: ScoringContext, deadline: DeviceDeadline, held: ExitStack) -> Outcome:
    """Score the device, as often as other writers add tags, and write the predictions.

    Args:
        device: The device's id, which is valid.
        context: The context of the process.
        deadline: The device's deadline and view of the store.
        held: The stack that keeps the lock for large readings until the predictions are written.
    """
    request = context.request
    name = blob_paths.prediction_name(context.settings.predictions_path, request.window, device)
    tags, scored = request.tags, None
    for attempt in range(MAX_WRITE_CONFLICTS):
        existing = deadline.store.head("predictions", name) if attempt else context.existing.head(name, deadline)
        if existing is not None and (
            outcome := _outcome_without_scoring(device, existing, scored, context, deadline.store)
        ):
            return outcome
        merged = (
            tags
            if request.write_policy == "Overwrite"
            else predictions.merged_tags(existing, window=request.window, requested_tags=tags)
        )
        if scored is None or merged != tags:
            tags, scored = merged, None
            held.close()  # the lock for large models is taken before the one for large readings
            scored = _score(device, tags, context, deadline, held)
        if not scored.content:
            kept = f"{scored.outcome.message}; the earlier predictions {name} are kept; delete them if they are wrong"
            return scored.outcome._replace(message=kept) if existing else scored.outcome
        if existing is not None and _would_downgrade(existing, scored, context):
            message = f"{scored.outcome.message}; the earlier, complete predictions were kept"
            return scored.outcome._replace(message=message)
        deadline.check()
        context.success_marker.remove_before_write(deadline.store, request.window.slug)
        if deadline.store.write(
            "predictions", name, scored.content, metadata=scored.metadata, if_match=existing.etag if existing else None
        ):
            return scored.outcome
    raise StorageUnavailable(f"{name} was overwritten by other writers {MAX_WRITE_CONFLICTS} times; retry the device")


def _outcome_without_scoring(
    device: str, existing: BlobInfo, scored: _ScoredDevice | None, context: ScoringContext, store: Store
) -> Outcome | None:
    """Return the outcome if the existing blob needs no work, or None if it is to be replaced."""
    request, metadata = context.request, existing.metadata
    state = predictions.existing_state(
        existing,
        run_uid=request.run_uid,
        window=request.window,
        requested_tags=request.tags,
        policy=request.write_policy,
    )
    if state is ExistingState.WRITTEN_BY_THIS_RUN:
        row_counts, complete = predictions.row_counts_from(metadata), metadata.get("complete") == "true"
        message = "" if complete else "some of its tags could not be scored, as an earlier pod of this run has logged"
        return _outcome_with_predictions(SCORED if complete else PARTIAL, "", message, row_counts, context)
    if (
        scored is not None
        and scored.content
        and existing.md5 == md5_hex(scored.content)
        and metadata.get("complete") == "true"
    ):
        return scored.outcome  # another writer has written the same bytes meanwhile: they are this device's result, too
    if state is ExistingState.KEEP:
        changed = readings_changed(device, context, store, metadata)
        return Outcome(ALREADY_SCORED, message=READINGS_CHANGED if changed else "", changed=changed)
    if state is ExistingState.KEEP_IF_UNCHANGED and predictions.inputs_unchanged(
        metadata, current_input_versions(device, context, store)
    ):
        return Outcome(ALREADY_SCORED)
    return None


def _would_downgrade(existing: BlobInfo, scored: _ScoredDevice, context: ScoringContext) -> bool:
    """Return True if incomplete predictions would replace complete ones."""
    complete = predictions.is_complete(existing.metadata, context.request.window, context.request.tags)
    return complete and scored.metadata["complete"] != "true"


def _score(
    device: str,
    requested_tags: frozenset[str] | None,
    context: ScoringContext,
    deadline: DeviceDeadline,
    held: ExitStack,
) -> _ScoredDevice:
    """Read the inputs and score them."""
    with open_bundle(device, context, deadline) as (bundle, input_versions):
        return _score_readings(
            device, requested_tags, context, deadline, held, bundle=bundle, input_versions=input_versions
        )


def _score_readings(
    device: str,
    requested_tags: frozenset[str] | None,
    context: ScoringContext,
    deadline: DeviceDeadline,
    held: ExitStack,
    *,
    bundle: Bundle,
    input_versions: InputVersions,
) -> _ScoredDevice:
    """Read the readings and score them with the bundle. Its memory is free after the return."""
    request, settings, read_at = context.request, context.settings, datetime.now(UTC)
    tags = select_tags(bundle, requested_tags)
    scorer = Scorer(
        device,
        request.window,
        tags.models,
        limits=settings.limits,
        quality=settings.quality,
        expectations=bundle.expectations,
        whole_partitions=request.window.is_divided_by(settings.data_partition),
    )
    etags = read_partitions(device, context, scorer, deadline, held)
    rows, remarks = scorer.finish(), scorer.remarks
    if rows is None:
        text = "no readings in the window" if etags else _describe_missing(device, context)
        return _ScoredDevice(Outcome(EMPTY, "", _message(text, remarks)))
    failed = {**tags.failed, **rows.failed}
    metadata = predictions.build_metadata(
        run_uid=request.run_uid,
        window=request.window,
        tags=requested_tags,
        complete=not failed,
        input_versions=input_versions._replace(data_etags=etags),
        row_counts=rows.row_counts,
        digest=rows.digest,
        read_at=read_at,
    )
    kind = PARTIAL if failed else SCORED
    reason = next((error.reason for error in failed.values()), "")
    message = _message(_describe_failed_tags(failed), [_describe_silent_tags(rows.digest, failed), *remarks])
    return _ScoredDevice(
        _outcome_with_predictions(kind, reason, message, rows.row_counts, context), rows.content, metadata
    )


def _describe_missing(device: str, context: ScoringContext) -> str:
    """Return the text about a window of which no blob of readings exists, with the first name."""
    settings = context.settings
    names = blob_paths.data_names(settings.data_path, settings.data_partition, context.request.window, device)
    count = len(names) - 1
    others = f", nor {plural(count, 'does', 'do')} {counted(count, 'other', 'others')}" if count else ""
    return f"no readings in the window: {names[0]} does not exist{others}"


def _outcome_with_predictions(
    kind: str, reason: str, message: str, row_counts: RowCounts, context: ScoringContext
) -> Outcome:
    """Return the outcome of a device that has predictions."""
    anomalous = context.settings.anomalous_when.is_anomalous(row_counts.rows, row_counts.anomalies)
    return Outcome(kind, reason, message, row_counts, anomalous)


def _describe_failed_tags(failed: Mapping[str, PermanentError]) -> str:
    """Return the errors of at most MAX_NAMED_TAGS tags, and the number of the others."""
    named = [
        f"tag {tag[:MAX_TAG_CHARS]!r} could not be scored: {str(error)[:MAX_ERROR_CHARS]}"
        for tag, error in itertools.islice(failed.items(), MAX_NAMED_TAGS)
    ]
    others = len(failed) - len(named)
    return "; ".join([*named, f"{counted(others, 'more tag', 'more tags')} could not be scored"] if others else named)


def _describe_silent_tags(digest: DeviceDigest, failed: Mapping[str, PermanentError]) -> str:
    """Return the tags without a usable reading, at most MAX_NAMED_TAGS of them by name."""
    silent = [tag.tag for tag in digest.tags if not tag.rows and tag.tag not in failed]
    if not silent:
        return ""
    return f"silent: no usable reading of tag {name_some(silent)}"


def _message(text: str, remarks: list[str]) -> str:
    """Return the message for people: the failure, and remarks about dropped rows."""
    return "; ".join(part for part in (text, *remarks) if part)
