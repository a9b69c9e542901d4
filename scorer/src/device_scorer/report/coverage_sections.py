"""The sections of the page about devices and readings that the predictions do not show."""

from collections.abc import Sequence
from html import escape

from device_scorer.plurals import counted, plural
from device_scorer.report.html import MAX_LISTED, columns, device_badges, section, table
from device_scorer.report.summary import Summary

Tile = tuple[str, str, bool]
OUTDATED_CURE = (
    "Score the window again with the write policy IfChanged. If the readings of a device are now empty, delete its "
    "predictions instead."
)
_VANISHED = ("model was deleted since the previous window", "models were deleted since the previous window")
_OUTDATED = ("device has readings that changed after scoring", "devices have readings that changed after scoring")
_UNKNOWN = ("id has neither a model nor readings", "ids have neither a model nor readings")
_UNMODELLED = ("device sends readings and has no model", "devices send readings and have no model")


def coverage_tiles(summary: Summary) -> list[Tile]:
    """Return the tiles of the losses that occurred: name, number, and True because each one is an alarm."""
    coverage = summary.coverage
    counts = [
        ("device with readings, no model", "devices with readings, no model", len(coverage.unmodelled_devices)),
        ("reading of a tag without a model", "readings of tags without a model", summary.totals.unscored_rows),
        ("model deleted since the last window", "models deleted since the last window", len(coverage.vanished_models)),
        ("device with changed readings", "devices with changed readings", len(coverage.outdated)),
        ("name that denotes no device", "names that denote no device", coverage.unknown_names),
    ]
    return [(plural(count, one, many), f"{count:,}", True) for one, many, count in counts if count]


def coverage_sections(summary: Summary) -> str:
    """Return the sections, as HTML; empty if nothing was lost."""
    without_model, others = _without_model(summary), _others(summary)
    if without_model and others:
        return columns(without_model, others)
    return without_model or others


def _without_model(summary: Summary) -> str:
    devices, tags = summary.coverage.unmodelled_devices, summary.totals.worst_unmodelled
    if not devices and not summary.totals.unscored_rows:
        return ""
    parts = [device_badges(plural(len(devices), *_UNMODELLED), devices)] if devices else []
    if tags:
        rows = ([tag, f"{count:,}", f"{found:,}"] for tag, count, found in tags[:MAX_LISTED])
        parts.append(table(["Tag without a model", "Readings", "Devices"], rows, numbers={1, 2}, total=len(tags)))
    parts.append('<p class="note">These readings are not scored. Train a model for them, or stop sending them.</p>')
    return section("Readings without a model", "".join(parts))


def _others(summary: Summary) -> str:
    coverage = summary.coverage
    parts = [
        _list(_VANISHED, coverage.vanished_models, "Restore or train them."),
        _list(_OUTDATED, coverage.outdated, OUTDATED_CURE),
        _list(
            _UNKNOWN,
            coverage.unknown_devices,
            "They do not belong to the window. Check their spelling in the run.",
        ),
    ]
    if coverage.unknown_names:
        shown = coverage.unknown_name_samples
        names = "".join(f"<span>{escape(name)}</span>" for name in shown)
        more = coverage.unknown_names - len(shown)
        names += f"<span>and {more:,} more</span>" if more else ""
        parts.append(
            f"<h3>{counted(coverage.unknown_names, 'name does', 'names do')} "
            f'not denote a device</h3><div class="badges">{names}</div>'
            '<p class="note">Write each id in its encoded form: # in an id is %23 in the name.</p>'
        )
    if coverage.large_records:
        parts.append(
            '<p class="note">'
            f"{counted(coverage.large_records, 'outcome record is', 'outcome records are')} too large to read. "
            "The logs of the Jobs have the messages.</p>"
        )
    content = "".join(parts)
    return section("Not in the predictions", content) if content else ""


def _list(titles: tuple[str, str], devices: Sequence[str], cure: str) -> str:
    """Return a list under the title for one device or for several ones."""
    title = plural(len(devices), *titles)
    return f'{device_badges(title, devices)}<p class="note">{cure}</p>' if devices else ""
