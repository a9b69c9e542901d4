"""Scores one device: look at what is there, read models and readings, judge, write whole or not at all."""

from dataclasses import dataclass, field, replace

from device_scorer.contract import blob_paths
from device_scorer.contract.outcome_message import ALREADY_SCORED, EMPTY, PARTIAL, SCORED, Outcome, RowCounts
from device_scorer.errors import ConfigurationInvalid, StorageUnavailable
from device_scorer.scoring import predictions
from device_scorer.scoring.context import DeviceDeadline, ScoringContext
from device_scorer.scoring.inputs import current_input_versions, load_bundle, read_partitions
from device_scorer.scoring.predictions import ExistingState
from device_scorer.scoring.scorer import RowStatistics, Scorer, SelectedTags, select_tags
from device_scorer.store.base import BlobInfo, Store, md5_hex

_MAX_WRITE_CONFLICTS = 4


@dataclass(frozen=True, slots=True)
class _ScoredDevice:
    """What scoring gave: predictions ready to be written, or (without a body) an outcome that writes nothing."""

    outcome: Outcome
    body: bytes = field(default=b"", repr=False)
    metadata: dict[str, str] = field(default_factory=dict)


def score_device(device: str, context: ScoringContext, deadline: DeviceDeadline) -> Outcome:
    """Score one device of the task's window and return its final outcome. Raises ReasonedError where there is none."""
    if not blob_paths.DEVICE_ID_PATTERN.fullmatch(device):
        raise ConfigurationInvalid(f"{device[:130]!r} is no device id (1 to 128 of A-Za-z0-9-.%_#*?!(),:=@$')")
    task, store = context.request, context.store.with_deadline(deadline.ends_at)
    deadline.store = store
    name = blob_paths.prediction_name(context.settings.predictions_path, task.window, device)
    tags, scored = task.tags, None
    for attempt in range(_MAX_WRITE_CONFLICTS):
        existing = store.head("predictions", name) if attempt else context.existing.head(name, store, deadline)
        if existing is not None and (outcome := _outcome_without_scoring(device, existing, scored, context, store)):
            return outcome
        merged = (
            tags
            if task.write_policy == "Overwrite"
            else predictions.merged_tags(existing, window=task.window, requested_tags=tags)
        )
        if scored is None or merged != tags:
            tags = merged
            scored = _score(device, tags, context, store, deadline)
        if not scored.body:
            return scored.outcome
        if existing is not None and _would_downgrade(existing, scored, context):
            return replace(
                scored.outcome, message=f"{scored.outcome.message}; the earlier, complete predictions were kept"
            )
        deadline.check()
        context.success_marker.remove_before_write(store, task.window.slug)
        if store.write(
            "predictions", name, scored.body, metadata=scored.metadata, if_match=existing.etag if existing else None
        ):
            return scored.outcome
    raise StorageUnavailable(f"{name} was replaced by others {_MAX_WRITE_CONFLICTS} times while this device was scored")


def _outcome_without_scoring(
    device: str, existing: BlobInfo, scored: _ScoredDevice | None, context: ScoringContext, store: Store
) -> Outcome | None:
    """The outcome where the blob that is there needs no work; None where it is to be replaced."""
    task, metadata = context.request, existing.metadata
    standing = predictions.existing_state(
        existing, run_uid=task.run_uid, window=task.window, requested_tags=task.tags, policy=task.write_policy
    )
    if standing is ExistingState.WRITTEN_BY_THIS_RUN:
        figures, complete = predictions.row_counts_from(metadata), metadata.get("complete") == "true"
        message = "" if complete else "some of its tags could not be scored, as an earlier pod of this run has logged"
        return _outcome_with_predictions(SCORED if complete else PARTIAL, "", message, figures, context)
    if (
        scored is not None
        and scored.body
        and existing.md5 == md5_hex(scored.body)
        and metadata.get("complete") == "true"
    ):
        return scored.outcome  # two wrote the same at the same time: the first stays, and it is ours too
    if standing is ExistingState.KEEP:
        return Outcome(ALREADY_SCORED)
    if standing is ExistingState.KEEP_IF_UNCHANGED and predictions.inputs_unchanged(
        metadata, current_input_versions(device, context, store)
    ):
        return Outcome(ALREADY_SCORED)
    return None


def _would_downgrade(existing: BlobInfo, scored: _ScoredDevice, context: ScoringContext) -> bool:
    """Whether incomplete predictions would take the place of complete ones."""
    complete = predictions.is_complete(existing.metadata, context.request.window, context.request.tags)
    return complete and scored.metadata["complete"] != "true"


def _score(
    device: str, requested_tags: frozenset[str] | None, context: ScoringContext, store: Store, deadline: DeviceDeadline
) -> _ScoredDevice:
    """Read and judge everything."""
    task, settings = context.request, context.settings
    bundle, sources = load_bundle(device, context, store)
    tags = select_tags(bundle, requested_tags)
    scorer = Scorer(device, task.window, tags.models, limits=settings.limits)
    etags = read_partitions(device, context, store, scorer, check_deadline=deadline.check)
    statistics = scorer.statistics
    if not scorer.finish():
        return _ScoredDevice(Outcome(EMPTY, "", _message("no readings in the window", statistics)))
    figures = RowCounts(
        statistics.rows, statistics.bad_rows + statistics.truncated_rows, statistics.unscored_rows, statistics.anomalies
    )
    metadata = predictions.build_metadata(
        run_uid=task.run_uid,
        window=task.window,
        tags=requested_tags,
        complete=not tags.failed,
        input_versions=replace(sources, data_etags=etags),
        row_counts=figures,
    )
    kind = PARTIAL if tags.failed else SCORED
    reason = next((error.reason for error in tags.failed.values()), "")
    outcome = _outcome_with_predictions(
        kind, reason, _message(_describe_failed_tags(tags), statistics), figures, context
    )
    return _ScoredDevice(outcome, bytes(scorer.body), metadata)


def _outcome_with_predictions(
    kind: str, reason: str, message: str, row_counts: RowCounts, context: ScoringContext
) -> Outcome:
    """The outcome of a device that has predictions."""
    anomalous = context.settings.anomalous_when.is_anomalous(row_counts.rows, row_counts.anomalies)
    return Outcome(kind, reason, message, row_counts, anomalous)


def _describe_failed_tags(tags: SelectedTags) -> str:
    return "; ".join(f"tag {tag!r} could not be scored: {error}" for tag, error in tags.failed.items())


def _message(text: str, statistics: RowStatistics) -> str:
    """The sentence for a person: what failed, and examples of what was dropped."""
    return "; ".join(part for part in (text, *statistics.notes) if part)
