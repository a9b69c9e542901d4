"""Scores one device: look at what is there, read models and readings, judge, write whole or not at all."""

from dataclasses import dataclass, field, replace

from device_scorer.contract import blob_paths
from device_scorer.contract.outcome_message import ALREADY_SCORED, EMPTY, PARTIAL, SCORED, Figures, Outcome
from device_scorer.errors import ConfigurationInvalid, StorageUnavailable
from device_scorer.scoring import predictions
from device_scorer.scoring.context import Guard, Shift
from device_scorer.scoring.inputs import current_sources, load_bundle, read_partitions
from device_scorer.scoring.predictions import Standing
from device_scorer.scoring.scorer import Scorer, Tags, Tally, choose
from device_scorer.store.base import BlobInfo, Store, md5_of

_MOST_RACES = 4


@dataclass(frozen=True, slots=True)
class _Made:
    """What scoring gave: predictions ready to be written, or (without a body) an outcome that writes nothing."""

    outcome: Outcome
    body: bytes = field(default=b"", repr=False)
    metadata: dict[str, str] = field(default_factory=dict)


def score_device(device: str, shift: Shift, guard: Guard) -> Outcome:
    """Score one device of the task's window and return its final outcome. Raises ReasonedError where there is none."""
    if not blob_paths.DEVICE_ID.fullmatch(device):
        raise ConfigurationInvalid(f"{device[:130]!r} is no device id (1 to 128 of A-Za-z0-9-.%_#*?!(),:=@$')")
    task, store = shift.task, shift.store.until(guard.ends)
    guard.store = store
    name = blob_paths.prediction_name(shift.settings.predictions_path, task.window, device)
    asked, made = task.tags, None
    for turn in range(_MOST_RACES):
        there = store.stat("predictions", name) if turn else shift.found.stat(name, store, guard)
        if there is not None and (settled := _settled(device, there, made, shift, store)):
            return settled
        wider = (
            asked if task.write_policy == "Overwrite" else predictions.widened(there, window=task.window, asked=asked)
        )
        if made is None or wider != asked:
            asked = wider
            made = _make(device, asked, shift, store, guard)
        if not made.body:
            return made.outcome
        if there is not None and _would_lose(there, made, shift):
            return replace(made.outcome, message=f"{made.outcome.message}; the earlier, complete predictions were kept")
        guard.check()
        shift.opening.before_write(store, task.window.slug)
        if store.write("predictions", name, made.body, metadata=made.metadata, if_match=there.etag if there else None):
            return made.outcome
    raise StorageUnavailable(f"{name} was replaced by others {_MOST_RACES} times while this device was scored")


def _settled(device: str, there: BlobInfo, made: _Made | None, shift: Shift, store: Store) -> Outcome | None:
    """The outcome where the blob that is there needs no work; None where it is to be replaced."""
    task, found = shift.task, there.metadata
    standing = predictions.standing(
        there, run_uid=task.run_uid, window=task.window, asked=task.tags, policy=task.write_policy
    )
    if standing is Standing.OURS:
        figures, complete = predictions.figures_of(found), found.get("complete") == "true"
        message = "" if complete else "some of its tags could not be scored, as an earlier pod of this run has logged"
        return _done(SCORED if complete else PARTIAL, "", message, figures, shift)
    if made is not None and made.body and there.md5 == md5_of(made.body) and found.get("complete") == "true":
        return made.outcome  # two wrote the same at the same time: the first stays, and it is ours too
    if standing is Standing.STANDS:
        return Outcome(ALREADY_SCORED)
    if standing is Standing.STANDS_IF_UNCHANGED and predictions.unchanged(found, current_sources(device, shift, store)):
        return Outcome(ALREADY_SCORED)
    return None


def _would_lose(there: BlobInfo, made: _Made, shift: Shift) -> bool:
    """Whether incomplete predictions would take the place of complete ones."""
    complete = predictions.is_complete(there.metadata, shift.task.window, shift.task.tags)
    return complete and made.metadata["complete"] != "true"


def _make(device: str, asked: frozenset[str] | None, shift: Shift, store: Store, guard: Guard) -> _Made:
    """Read and judge everything."""
    task, settings = shift.task, shift.settings
    bundle, sources = load_bundle(device, shift, store)
    tags = choose(bundle, asked)
    scorer = Scorer(device, task.window, tags.models, limits=settings.limits)
    etags = read_partitions(device, shift, store, scorer, check=guard.check)
    tally = scorer.tally
    if not scorer.finish():
        return _Made(Outcome(EMPTY, "", _told("no readings in the window", tally)))
    figures = Figures(tally.rows, tally.bad + tally.cut, tally.unscored, tally.anomalies)
    metadata = predictions.metadata(
        run_uid=task.run_uid,
        window=task.window,
        tags=asked,
        complete=not tags.failed,
        sources=replace(sources, data_etags=etags),
        figures=figures,
    )
    kind = PARTIAL if tags.failed else SCORED
    reason = next((error.reason for error in tags.failed.values()), "")
    outcome = _done(kind, reason, _told(_failures(tags), tally), figures, shift)
    return _Made(outcome, bytes(scorer.body), metadata)


def _done(kind: str, reason: str, message: str, figures: Figures, shift: Shift) -> Outcome:
    """The outcome of a device that has predictions."""
    anomalous = shift.settings.anomalous_when.holds(figures.rows, figures.anomalies)
    return Outcome(kind, reason, message, figures, anomalous)


def _failures(tags: Tags) -> str:
    return "; ".join(f"tag {tag!r} could not be scored: {error}" for tag, error in tags.failed.items())


def _told(text: str, tally: Tally) -> str:
    """The sentence for a person: what failed, and examples of what was dropped."""
    return "; ".join(part for part in (text, *tally.notes) if part)
