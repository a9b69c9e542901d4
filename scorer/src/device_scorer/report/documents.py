"""The JSON and CSV files of a report, made from the summary of a window."""

import json
from collections.abc import Sequence

from device_scorer.report.coverage_sections import OUTDATED_CURE
from device_scorer.report.fleet_health import FleetHealth
from device_scorer.report.summary import Summary
from device_scorer.report.tables import EMPTY_HEADER, FAILURES_HEADER, encode_csv
from device_scorer.window import format_time

FORMAT_VERSION = 1
MAX_TOP_DEVICES = 20
MAX_NAMED_DEVICES = 50
"""Number of devices that a list of _summary.json names."""


def summary_json(summary: Summary, health: FleetHealth = FleetHealth()) -> bytes:  # noqa: B008  it is immutable
    """Return the content of `_summary.json`; its size does not depend on the number of devices."""
    worst = summary.anomalous[:MAX_TOP_DEVICES]
    change, when, coverage = summary.comparison, summary.rule.anomalous_when, summary.coverage
    document = {
        "v": FORMAT_VERSION,
        "window": {"start": format_time(summary.window.start), "end": format_time(summary.window.end)},
        "complete": summary.complete,
        "devices": {"total": len(summary.devices), **summary.outcomes},
        "results": {
            "rows": summary.rows,
            "badRows": summary.totals.bad_rows,
            "unscoredRows": summary.totals.unscored_rows,
            "anomalies": summary.anomalies,
            "anomalousDevices": len(summary.anomalous),
        },
        "anomalousWhen": {"share": when.share, "minRows": when.min_rows},
        "topAnomalies": [
            {"device": row.device, "rows": row.statistics.rows, "anomalies": row.statistics.anomalies} for row in worst
        ],
        "failureReasons": dict(summary.reasons),
        "unreadablePredictions": len(summary.unreadable),
        "readingsWithoutModel": {
            **_bounded_list(coverage.unmodelled_devices),
            "rows": summary.totals.unscored_rows,
            "tags": summary.totals.worst_unmodelled[:MAX_TOP_DEVICES],
        },
        "vanishedModels": _bounded_list(coverage.vanished_models),
        "readingsChangedAfterScoring": {
            **_bounded_list(coverage.outdated),
            "cure": OUTDATED_CURE if coverage.outdated else "",
        },
        "unknownDevices": _bounded_list(coverage.unknown_devices),
        "unknownNames": {"count": coverage.unknown_names, "names": list(coverage.unknown_name_samples)},
        "incidents": health.counts,
        "sensors": health.sensor_counts,
        "problems": list(health.problems[:MAX_TOP_DEVICES]),
        "stale": _bounded_list([row.device for row in summary.stale]),
        "previous": {
            "window": {"start": format_time(change.window.start), "end": format_time(change.window.end)},
            "known": change.has_previous,
            "new": _bounded_list(change.new),
            "recovered": _bounded_list(change.recovered),
            "vanished": _bounded_list(change.missing),
        },
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def failures_csv(summary: Summary) -> bytes:
    """Return the content of `_failures.csv`: every device because of which the window is incomplete."""
    outcomes = ((row.device, row.outcome) for row in summary.failures)
    rows = ([device, one.kind, one.reason, " ".join(one.message.split())] for device, one in outcomes)
    unreadable = ([device, "unreadable", "DataInvalid", text] for device, text in sorted(summary.unreadable.items()))
    return encode_csv(FAILURES_HEADER, [*rows, *unreadable])


def empty_csv(summary: Summary) -> bytes:
    """Return the content of `_empty.csv`: every device without readings in the window.

    The ETags are those of blobs that exist and have none of the window's readings.
    """
    etags = summary.coverage.data_etags
    found = (row.device for row in summary.devices if row.outcome.kind == "empty")
    return encode_csv(EMPTY_HEADER, ([device, etags.get(device, "")] for device in found))


def anomalies_csv(summary: Summary) -> bytes:
    """Return the content of `_anomalies.csv`: every device and tag with an anomaly, without the readings."""
    header = ["Device", "Tag", "Rows", "Anomalies", "First", "Last", "WorstTS", "WorstVal", "WorstScore"]
    return encode_csv(
        header,
        (
            [
                row.device,
                tag,
                one.rows,
                one.anomalies,
                one.first_anomaly,
                one.last_anomaly,
                one.worst_ts,
                one.worst_value,
                _format_score(one.worst_score),
            ]
            for row in summary.devices
            for tag, one in sorted(row.statistics.tags.items())
        ),
    )


def _format_score(score: float) -> str:
    """Return a score with nine decimals, or with an exponent if these hide its sign or are very many."""
    text = f"{score:.9f}"
    return f"{score:.9g}" if len(text) > 24 or (score and not text.strip("-0.")) else text


def _bounded_list(devices: Sequence[str]) -> dict[str, object]:
    return {"count": len(devices), "devices": list(devices[:MAX_NAMED_DEVICES])}
