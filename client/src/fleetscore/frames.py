"""DataFrames of what storage and cluster hold.

Each function imports pandas, which takes longer than most commands that need no DataFrame.
"""
# ruff: noqa: PLC0415

import io
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from fleetscore.contract.blob_paths import ANOMALIES_FILE, EMPTY_FILE, FAILURES_FILE, INCIDENTS_FILE, SENSORS_FILE
from fleetscore.contract.report_texts import restore_text
from fleetscore.contract.tiles import UNKNOWN
from fleetscore.csv_lines import check_lines, split_line
from fleetscore.errors import DataInvalid
from fleetscore.runs.state import OUTCOMES

if TYPE_CHECKING:
    import pandas as pd

PREDICTION_COLUMNS = ("TS", "Device", "Tag", "Val", "Prediction", "Score")
READING_COLUMNS = ("TS", "Device", "Tag", "Value")
COUNT_COLUMNS = ("Tag", "Rows", "Stored", "Here", "Both")
TABLE_COLUMNS: Mapping[str, Sequence[str]] = {
    FAILURES_FILE: ("Device", "Outcome", "Reason", "Message"),
    EMPTY_FILE: ("Device",),
    ANOMALIES_FILE: ("Device", "Tag", "Rows", "Anomalies", "First", "Last", "WorstTS", "WorstVal", "WorstScore"),
    SENSORS_FILE: ("Device", "Tag", "Flag", "Since", "Rows", "Detail"),
    INCIDENTS_FILE: (
        *("Id", "Device", "Cause", "State", "Since", "Until", "Windows", "Tags", "Strongest", "Owner", "Muted"),
    ),
}
"""The columns that the CSV files of every report have, and a result without rows, too.

A column that a later version of the scorer adds is not one of them: the client reads the reports of older versions.
"""

_TABLE_TYPES = {
    **dict.fromkeys(("Rows", "Anomalies", "Windows"), "Int64"),
    **dict.fromkeys(("WorstVal", "WorstScore", "Strongest"), "float64"),
}
"""The types of the columns with numbers; the type of a column does not depend on its values."""

_PREDICTION_TYPES = {"Device": "str", "Tag": "str", "Prediction": "int8", "Score": "float64", "Val": "float64"}
BATCH_BYTES = 2**22
_ISO_PATTERN = (
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?"
    r"(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)?)"
)
_EPOCH_PATTERN = r"(-?[0-9]{1,15})"
_MILLISECONDS = (-62_135_596_800_000, 253_402_300_799_999)  # the years 1 to 9999
_LIKELY_SECONDS = (10**9, 10**10 - 1)
"""The forms of TS, with the rules of the scorer (device_scorer/readings.py)."""


def predictions_frame(content: bytes, name: str) -> "pd.DataFrame":
    """Return a predictions CSV as a frame.

    Args:
        content: The CSV.
        name: The name of the blob, for messages.

    Returns:
        The columns TS (UTC), Device, Tag, Val (the sensor's unit), Prediction (1 is an anomaly) and Score (negative for
        an anomaly); one row per reading, in the order of the file.

    Raises:
        DataInvalid: The content is not a predictions CSV.
    """
    return _read_csv(content, name, PREDICTION_COLUMNS, _PREDICTION_TYPES)


def prediction_frames(
    files: "Iterable[tuple[bytes, str]]", *, batch_bytes: int = BATCH_BYTES
) -> "Iterator[pd.DataFrame]":
    """Yield the predictions of files as frames, each of whole files.

    A call of pandas costs more than a small file has work, so files with the same header are read in one call.

    Args:
        files: The content and the name of each file.
        batch_bytes: The size of the files of a frame, in bytes of CSV, after which the next file begins another frame.

    Yields:
        Frames as of `predictions_frame`.

    Raises:
        DataInvalid: A file is not a predictions CSV.
    """
    batch: list[tuple[bytes, str]] = []
    size, header = 0, b""
    for content, name in files:
        first = content.partition(b"\n")[0]
        if batch and (first != header or size > batch_bytes):
            yield from _batch_frames(batch)
            batch, size = [], 0
        header = first
        batch.append((content, name))
        size += len(content)
    yield from _batch_frames(batch)


def anomaly_counts(stored: "pd.DataFrame", here: "pd.DataFrame") -> "pd.DataFrame":
    """Return the numbers of anomalies of two frames of predictions of a device, by tag.

    Args:
        stored: The stored predictions.
        here: The other predictions of the same device and window.

    Returns:
        One row per tag: Tag, Rows (those of `here`), and the anomalies in `stored` (Stored), in `here` (Here), and of
        the same time in both (Both).
    """
    import pandas as pd

    keys = ["TS", "Tag"]
    then, now = (frame.loc[frame["Prediction"] == 1, keys] for frame in (stored, here))
    both = now.merge(then.drop_duplicates(), on=keys)
    frames = {"Rows": here, "Stored": then, "Here": now, "Both": both}
    counts = pd.DataFrame({name: frame["Tag"].value_counts() for name, frame in frames.items()})
    return counts.fillna(0).astype(int).rename_axis("Tag").reset_index()


def readings_frame(content: bytes, name: str) -> "pd.DataFrame":
    """Return a readings CSV as a frame with the columns TS (UTC), Device, Tag and Value (text as in the file).

    One line is one row, as for the scorer. Lines that the scorer counts as malformed are left out.

    Raises:
        DataInvalid: The first line does not name the columns.
    """
    import pandas as pd

    first, _, rest = content.removeprefix(b"\xef\xbb\xbf").partition(b"\n")
    header = [column.strip() for column in split_line(first)]
    if content and any(header.count(column) != 1 for column in READING_COLUMNS):
        raise DataInvalid(
            f"{name} is invalid: the first line must name the columns {','.join(READING_COLUMNS)} once each, "
            f"but begins with {first[:80]!r}; correct the file"
        )
    lines = (line[:-1] for line in io.BytesIO(rest) if line.endswith(b"\n"))  # without its end, the last one may be cut
    rows = [fields for line in lines if len(fields := split_line(line)) == len(header)]
    frame = pd.DataFrame(rows, columns=header if content else READING_COLUMNS, dtype="str")[list(READING_COLUMNS)]
    frame["TS"] = _instants(frame["TS"], errors="coerce")
    return frame[frame["TS"].notna() & (frame["Device"] != "") & (frame["Tag"] != "")].reset_index(drop=True)


def table_frame(content: bytes, name: str) -> "pd.DataFrame":
    """Return a CSV of a report, such as _anomalies.csv, as a frame.

    Texts have their values without the protection against evaluation by spreadsheet programs. The columns Rows,
    Anomalies and Windows are whole numbers (Int64), WorstVal, WorstScore and Strongest are numbers (float64), and an
    empty cell of these is missing. All other columns are texts.

    Args:
        content: The CSV.
        name: The name of the blob; its last segment selects the columns of TABLE_COLUMNS.

    Raises:
        DataInvalid: The content is not a CSV, lacks a column of TABLE_COLUMNS, or has a number of another form.
    """
    import pandas as pd

    check_lines(content, name)
    next_step = "the next report of its window replaces it"
    try:
        with warnings.catch_warnings(action="ignore", category=pd.errors.ParserWarning):
            # Without index_col, the further fields of a long line are an index of as many levels. Without usecols, each
            # line gets as many fields as the one before it.
            columns = pd.read_csv(io.BytesIO(content), nrows=0, index_col=False).columns
            frame = pd.read_csv(
                io.BytesIO(content),
                dtype=defaultdict(lambda: "str", _TABLE_TYPES),
                keep_default_na=False,
                na_values={column: ["", "nan"] for column in _TABLE_TYPES},
                index_col=False,
                usecols=range(len(columns)),
            )
    except (ValueError, TypeError, OverflowError) as error:
        raise DataInvalid(f"{name} is invalid: {error}; {next_step}") from error
    missing = [one for one in TABLE_COLUMNS.get(name.rpartition("/")[2], ()) if one not in frame]
    if missing:
        text = f"it lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}"
        raise DataInvalid(f"{name} is invalid: {text}; {next_step}")
    if b"'" in content:
        for column in columns:
            if pd.api.types.is_string_dtype(frame[column]):
                frame[column] = frame[column].map(restore_text)
    return frame


def history_frame(columns: Mapping[datetime, Mapping[str, str]]) -> "pd.DataFrame":
    """Return the states of devices as a frame.

    Args:
        columns: The letter of each device, by the start of the window.

    Returns:
        One row per device (index `Device`, in order), one column per window (its start, UTC, in order), a letter each.
        A device without a state in a window has "?". Windows in which no device has a state are missing.
    """
    import pandas as pd

    known = {start: letters for start, letters in sorted(columns.items()) if set(letters.values()) - {UNKNOWN}}
    devices = sorted({device for letters in known.values() for device in letters})
    index = pd.Index(devices, name="Device", dtype="object")
    names = pd.DatetimeIndex(list(known), name="Window", tz="UTC")
    values = {number: [letters.get(one, UNKNOWN) for one in devices] for number, letters in enumerate(known.values())}
    frame = pd.DataFrame(values, index=index, dtype="object")
    frame.columns = names
    return frame


def model_frame(tags: Iterable[Mapping[str, Any]]) -> "pd.DataFrame":
    """Return the description of a bundle as a frame; see `Fleet.model`.

    Args:
        tags: The entries of `device-scorer inspect --output json`.
    """
    import pandas as pd

    keys = ("tag", "detector", "sklearn", "evaluatedBy", "problem", "parameters")
    rows = [[one.get(key, "") for key in keys] for one in tags]
    return pd.DataFrame(rows, columns=["Tag", "Detector", "SklearnVersion", "EvaluatedBy", "Problem", "Parameters"])


def runs_frame(runs: Iterable[Mapping[str, Any]]) -> "pd.DataFrame":
    """Return runs as a frame, the newest window first.

    Args:
        runs: The ScoringRuns as JSON.

    Returns:
        The columns name, fleet, window_start, window_end (UTC), phase, total, one column per outcome (devices),
        anomalies (readings), duration (text) and message.
    """
    import pandas as pd

    rows = [_run_row(run) for run in runs]
    columns = ["name", "fleet", "window_start", "window_end", "phase", "total", *OUTCOMES]
    frame = pd.DataFrame(rows, columns=[*columns, "anomalies", "duration", "message"])
    for column in ("window_start", "window_end"):
        frame[column] = pd.to_datetime(frame[column], utc=True)
    return frame.sort_values(["window_start", "name"], ascending=[False, True], ignore_index=True)


def concat(found: "Iterable[pd.DataFrame]", columns: Sequence[str] = ()) -> "pd.DataFrame":
    """Return the rows of frames as one frame; without a frame, an empty one with the columns."""
    import pandas as pd

    listed = list(found)
    # A frame without rows has no types, and would change those of the others.
    filled = [one for one in listed if len(one)] or listed[:1]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=list(columns))


def _batch_frames(files: "Sequence[tuple[bytes, str]]") -> "Iterator[pd.DataFrame]":
    """Yield the frame of files with one header, or of each file where the reading of all at once fails."""
    # A quote that is not closed, or a last line without an end, would join the rows of two files.
    if len(files) > 1 and all(content.endswith(b"\n") and b'"' not in content for content, _ in files):
        header, rows = files[0][0].partition(b"\n")[0], (content.partition(b"\n")[2] for content, _ in files)
        with suppress(DataInvalid):
            frame = predictions_frame(b"".join((header, b"\n", *rows)), "")
            yield frame
            return
    for content, name in files:
        yield predictions_frame(content, name)


def _run_row(run: Mapping[str, Any]) -> dict[str, Any]:
    status, spec = run.get("status") or {}, run["spec"]
    devices = status.get("devices") or {}
    return {
        "name": run["metadata"]["name"],
        "fleet": spec.get("fleet", "default"),
        "window_start": spec["window"]["start"],
        "window_end": spec["window"]["end"],
        "phase": status.get("phase", ""),
        "total": devices.get("total", 0),
        **{outcome: devices.get(outcome, 0) for outcome in OUTCOMES},
        "anomalies": (status.get("results") or {}).get("anomalies", 0),
        "duration": status.get("duration", ""),
        "message": status.get("message", ""),
    }


def _read_csv(content: bytes, name: str, columns: tuple[str, ...], types: Mapping[str, str]) -> "pd.DataFrame":
    import pandas as pd

    check_lines(content, name)
    try:
        frame = pd.read_csv(
            io.BytesIO(content), dtype={**types, "TS": "str"}, usecols=list(columns), keep_default_na=False,
            na_values={"Score": [""], "Val": [""]},
        )  # fmt: skip
        frame["TS"] = _instants(frame["TS"])
    except (ValueError, OverflowError, pd.errors.ParserError) as error:
        raise DataInvalid(f"{name} is invalid: {error}") from error
    return frame[list(columns)]


def _instants(texts: "pd.Series[str]", errors: Literal["raise", "coerce"] = "raise") -> "pd.Series[pd.Timestamp]":
    """Return the instants of a column TS by the rules of the scorer, from the year 1 to 9999.

    A text is a date and time of ISO 8601, in UTC unless it has an offset, or epoch milliseconds. Nanoseconds are cut
    off if the column has an instant that pandas cannot store with them.

    Args:
        texts: The column.
        errors: `coerce` returns NaT for a text of another form.

    Raises:
        ValueError: A text has another form.
    """
    import pandas as pd

    is_iso = texts.str.fullmatch(_ISO_PATTERN)
    written = texts.where(is_iso).str.replace(",", ".")
    found = pd.to_datetime(written, utc=True, format="ISO8601", errors="coerce")
    if found.dt.unit == "ns" and (found.isna() & is_iso).any():
        written = written.str.replace(r"(\.[0-9]{6})[0-9]+", r"\1", regex=True)
        found = pd.to_datetime(written, utc=True, format="ISO8601", errors="coerce")
    numbers = texts.where(texts.str.fullmatch(_EPOCH_PATTERN)).astype("float64")
    if numbers.notna().any():
        is_valid = numbers.between(*_MILLISECONDS) & ~numbers.between(*_LIKELY_SECONDS)
        since = pd.to_datetime(numbers.where(is_valid), unit="ms", utc=True).dt.as_unit("us")
        found = found.dt.as_unit("us").where(is_iso, since)
    if errors == "raise" and found.isna().any():
        raise ValueError(f"TS {texts[found.isna()].iloc[0][:50]!r} is neither ISO 8601 nor epoch milliseconds")
    return found
