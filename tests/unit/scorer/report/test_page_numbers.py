"""Every number of report.html, compared with a count of the predictions and of the run's outcomes."""

import csv
import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import pytest

from device_scorer import __version__
from tests.testkit.scorer_report import BEFORE, SLUG, add_models, read_page, report, run_state, write_predictions

START = datetime(2018, 8, 28, 23, tzinfo=UTC)
END = START + timedelta(hours=1)
FAILED = {"kilo": "ModelInvalid", "lima": "ModelInvalid", "mike": "OOMKilled"}
SILENT, NOT_RUN = ("november",), ("oscar", "papa", "quebec")
PARTIAL = ("juliett",)
VANISHED = ("zulu",)


class Row(NamedTuple):
    """A row of predictions."""

    device: str
    tag: str
    at: datetime
    value: float
    anomalous: bool


class Texts(HTMLParser):
    """The texts of a page by section (its h2; "" before the first, "foot" for the footer), and the embedded JSON."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sections: dict[str, list[str]] = {"": []}
        self.data = ""
        self._section, self._inside = "", ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "footer":
            self._section = "foot"
        self._inside = "data" if ("id", "devices") in attrs else tag

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002  HTMLParser's signature
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "data":
            self.data = data
        elif self._inside == "h2":
            self._section = data
            self.sections[data] = []
        elif self._inside not in ("style", "script"):
            self.sections.setdefault(self._section, []).append(data)


def numbers(texts: Iterable[str]) -> list[str]:
    return [number for text in texts for number in re.findall(r"\d[\d,]*(?:\.\d+)*", text)]


def rows_of(folder: Path, slug: str) -> list[Row]:
    rows = []
    for path in sorted((folder / "predictions" / slug).glob("[a-z]*.csv")):
        for row in csv.DictReader(path.read_text().splitlines()):
            at = datetime.fromisoformat(row["TS"])
            rows.append(Row(row["Device"], row["Tag"], at, float(row["Val"]), row["Prediction"] == "1"))
    return rows


def per_device(rows: Iterable[Row]) -> dict[str, tuple[int, int]]:
    """Rows and anomalies."""
    all_rows = Counter(row.device for row in rows)
    bad = Counter(row.device for row in rows if row.anomalous)
    return {device: (count, bad[device]) for device, count in all_rows.items()}


def anomalous(figures: Mapping[str, tuple[int, int]]) -> list[str]:
    """Anomalous devices by the default rule, the largest share first."""
    found = [device for device, (rows, bad) in figures.items() if bad >= 3 and bad >= rows * 0.01]
    return sorted(found, key=lambda device: (-figures[device][1] / figures[device][0], device))


def kind(rows: int, bad: int, *, partial: bool) -> str:
    if bad < 3:
        return "partly scored" if partial else "normal"
    return (
        "anomalies in more than 20%"
        if bad > rows / 5
        else "anomalies in more than 5% of readings"
        if bad > rows / 20
        else "anomalous"
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    dice = random.Random(11)  # noqa: S311 (labels, not secrets)

    def some(rare: int) -> dict[str, str]:
        return {tag: "".join(dice.choices("0" * rare + "1", k=dice.randrange(40, 59))) for tag in ("x", "y", "a,z")}

    scored = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india")
    for order, device in enumerate((*scored, *PARTIAL)):
        rare = (2, 5, 12, 30, 200)[order % 5]
        minute = 30 if device in ("golf", "hotel") else 59
        write_predictions(
            folder,
            device,
            {k: v[: minute + 1] for k, v in some(rare).items()},
            minute=minute,
            complete=device not in PARTIAL,
        )
    for device in ("alpha", "golf", "echo", "kilo", "zulu"):
        write_predictions(folder, device, some(4 if device in ("golf", "zulu", "alpha") else 500), slug=BEFORE)
    devices = [*scored, *PARTIAL, *FAILED, *SILENT, *NOT_RUN]
    add_models(folder, *devices)
    place = {device: str(position) for position, device in enumerate(devices)}
    outcomes = {
        "scored": ",".join(place[device] for device in scored),
        "partial": ",".join(place[device] for device in PARTIAL),
        "failed": ",".join(place[device] for device in FAILED),
        "empty": ",".join(place[device] for device in SILENT),
        "notRun": ",".join(place[device] for device in NOT_RUN),
    }
    reasons = {reason: ",".join(place[d] for d in FAILED if FAILED[d] == reason) for reason in set(FAILED.values())}
    report(folder, *run_state(folder, devices, {"outcomes": outcomes, "reasons": reasons}))
    return folder


@pytest.fixture(scope="module")
def shown(folder: Path) -> Texts:
    return Texts(read_page(folder))


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[Row]:
    return rows_of(folder, SLUG)


def old(rows: Iterable[Row]) -> dict[str, int]:
    """Minutes by which the newest reading of a device is older than the window's end, where these are over 15."""
    newest: dict[str, datetime] = {}
    for row in rows:
        newest[row.device] = max(row.at, newest.get(row.device, START))
    ages = {device: round((END - at).total_seconds() / 60) for device, at in newest.items()}
    return {device: age for device, age in ages.items() if age > 15}


def test_tiles_have_the_numbers_of_the_predictions(shown: Texts, rows: list[Row]) -> None:
    figures = per_device(rows)
    bad = sum(row.anomalous for row in rows)
    devices = len(figures) + len(FAILED) + len(SILENT) + len(NOT_RUN)
    failures = len(PARTIAL) + len(FAILED) + len(NOT_RUN)
    expected = [
        *(devices, len(figures) - len(PARTIAL), len(anomalous(figures)), f"{len(rows):,}", bad),
        f"{bad / len(rows) * 100:.2f}",
        *(failures, len(old(rows)) + len(SILENT), 3 * len(figures)),
        *(len(figures), len(VANISHED)),
    ]
    title = numbers(["2018-08-28 23:00 to 2018-08-29 00:00"])
    found = numbers(shown.sections[""])
    assert found == [*title, *title, *map(str, expected)]
    assert 2 < len(anomalous(figures)) < len(figures)


def test_fleet_grid_has_the_devices_of_each_kind(shown: Texts, rows: list[Row]) -> None:
    kinds = Counter(kind(*figures, partial=device in PARTIAL) for device, figures in per_device(rows).items())
    kinds |= {"no readings": len(SILENT), "failed": len(FAILED), "not run or unknown": len(NOT_RUN)}
    order = (
        "normal",
        "anomalous",
        "anomalies in more than 5% of readings",
        "anomalies in more than 20%",
        "partly scored",
        "no readings",
        "failed",
    )
    words = [f"{word} {kinds[word]}" for word in (*order, "not run or unknown") if kinds[word]]
    assert numbers(shown.sections["The fleet at a glance"]) == numbers(words)
    assert {"normal", "anomalous", "anomalies in more than 5% of readings", "anomalies in more than 20%"} <= set(kinds)


def test_anomalies_over_time_have_the_number_of_each_minute(shown: Texts, rows: list[Row]) -> None:
    minutes = Counter(row.at.minute for row in rows if row.anomalous)
    counts = [minutes[minute] for minute in sorted(minutes)]
    expected = [*map(str, counts), "23", "00", "00", "00", str(max(counts))]
    assert numbers(shown.sections["Anomalies over time"]) == expected


def test_anomalies_by_tag_have_the_numbers_of_each_tag_the_worst_first(shown: Texts, rows: list[Row]) -> None:
    of = Counter(row.tag for row in rows)
    bad = Counter(row.tag for row in rows if row.anomalous)
    worst = sorted(of, key=lambda tag: (-bad[tag], tag))
    assert numbers(shown.sections["Anomalies by tag"]) == [str(n) for tag in worst for n in (bad[tag], of[tag])]


def test_anomalous_devices_have_their_numbers_the_worst_first(shown: Texts, rows: list[Row]) -> None:
    figures = per_device(rows)
    expected = []
    for device in anomalous(figures):
        count, bad = figures[device]
        tags = Counter(row.tag for row in rows if row.device == device and row.anomalous)
        worst = sorted(tags.values(), reverse=True)
        expected += [str(bad), str(count), f"{bad / count * 100:.1f}", *map(str, worst)]
    below = sorted((-bad, device) for device, (_, bad) in figures.items() if bad and device not in anomalous(figures))
    counts = [str(len(below)), *(str(-bad) for bad, _ in below)]
    assert numbers(shown.sections["Anomalous devices"]) == [*expected, "3", "1.00", *(counts if below else [])]


def test_comparison_has_the_devices_that_changed_since_the_previous_window(
    shown: Texts, folder: Path, rows: list[Row]
) -> None:
    now, before = per_device(rows), per_device(rows_of(folder, BEFORE))
    bad, was = set(anomalous(now)), set(anomalous(before))
    (title,) = (title for title in shown.sections if title.startswith("Compared with"))
    assert title == "Compared with 2018-08-28 22:00 to 23:00 UTC"
    expected = [len(bad - was), len((was & set(now)) - bad), len(was - set(now))]
    assert numbers(shown.sections[title]) == [str(number) for number in expected]
    assert expected[0] > 1
    assert expected[2] == 1


def test_failures_by_reason_have_the_devices_of_each_reason(shown: Texts) -> None:
    counts = Counter([*FAILED.values(), *("partial" for _ in PARTIAL), *("notRun" for _ in NOT_RUN)])
    assert sorted(numbers(shown.sections["Failures by reason"])) == sorted(map(str, counts.values()))
    assert [text for text in shown.sections["Failures by reason"] if text in FAILED] == list(FAILED)


def test_silent_or_stale_devices_have_the_time_and_age_of_their_last_reading(shown: Texts, rows: list[Row]) -> None:
    ages = old(rows)
    times = [f"{END - timedelta(minutes=age):%H %M} {age}" for age in sorted(ages.values(), reverse=True)]
    assert numbers(shown.sections["Silent or stale"]) == [*numbers(times), "15"]
    assert len(ages) == 2


def test_charts_of_the_worst_devices_have_the_numbers_of_their_worst_tags(shown: Texts, rows: list[Row]) -> None:
    expected: list[str] = []
    drawn = anomalous(per_device(rows))[:8]
    for device in drawn:
        mine = [row for row in rows if row.device == device]
        tags = Counter(row.tag for row in mine if row.anomalous)
        for tag in sorted(tags, key=lambda tag: (-tags[tag], tag))[:3]:
            values = [row.value for row in mine if row.tag == tag]
            expected += [str(tags[tag]), str(len(values)), "23", "00", "00", "00"]
            expected += [f"{min(values):g}", f"{max(values):g}"]
    assert numbers(shown.sections["Worst devices"]) == [*expected, str(len(drawn)), "3"]


def test_section_of_vanished_models_has_their_number_and_names(shown: Texts) -> None:
    assert numbers(shown.sections["Not in the predictions"]) == [str(len(VANISHED))]
    assert VANISHED[0] in shown.sections["Not in the predictions"]


def test_footer_has_the_outcomes_and_the_search_the_figures_of_each_device(shown: Texts, rows: list[Row]) -> None:
    figures = per_device(rows)
    sums = [len(figures) - len(PARTIAL), len(PARTIAL), len(SILENT), len(FAILED), len(NOT_RUN)]
    assert numbers(shown.sections["foot"]) == [*map(str, sums), __version__]
    listed = {device: (count, bad) for device, _, count, bad in json.loads(shown.data)}
    assert listed == {**dict.fromkeys((*FAILED, *SILENT, *NOT_RUN), (0, 0)), **figures}
