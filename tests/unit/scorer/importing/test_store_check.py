"""Check of a whole store."""

import pytest

from device_scorer.errors import ConfigurationInvalid, DataInvalid
from device_scorer.importing.store_check import MAX_DEVICES, MAX_EXAMPLE_CHARS, MAX_EXAMPLES, StoreCheck
from device_scorer.quality import NO_QUALITY, Quality, parse_quality
from device_scorer.settings import Settings
from device_scorer.store.base import Blob
from device_scorer.store.folder import FolderStore
from tests.testkit.scorer_fleet import Fleet, a_model, bundle, csv_of, readings


def checked(fleet: Fleet, *, sample: int = 100, quality: Quality = NO_QUALITY) -> tuple[StoreCheck, dict[str, str]]:
    check = StoreCheck(fleet.store, Settings(folder=fleet.folder, quality=quality), sample=sample)
    list(check.run())
    return check, {finding.many: str(finding) for finding in check.findings}


def test_device_whose_tags_match_has_no_finding(fleet: Fleet) -> None:
    fleet.device(tags=("1", "2"))
    check, findings = checked(fleet)
    assert (check.models, check.blobs, check.devices, check.read_devices, findings) == (1, 1, 1, 1, {})


def test_names_that_denote_no_device_are_problems(fleet: Fleet) -> None:
    fleet.device()
    fleet.store.write("models", "a#b.joblib", b"")
    fleet.store.write("data", "20180828T2300Z/a?b.csv", b"")
    fleet.store.write("data", "readme.txt", b"")
    check, findings = checked(fleet)
    assert findings["names of models denote no device"] == "1 name of a model denotes no device: 'a#b.joblib'"
    assert check.invalid_data.count == 2
    assert check.invalid_data.is_problem


def test_readings_at_a_time_without_a_partition_are_a_problem(fleet: Fleet) -> None:
    fleet.device("press-1")
    fleet.put("press-1", b"invalid\n", "20180828T2330Z")
    fleet.put("press-2", readings("press-2"), "20180828T2330Z")
    check, _ = checked(fleet)
    assert (check.blobs, check.devices, check.no_partition.count, check.readings.count) == (1, 1, 2, 0)
    assert check.no_partition.is_problem
    assert str(check.no_partition) == (
        "2 files of readings have a time at which no partition starts, so no window reads the rows; import them with "
        "`device-scorer import`, or correct the length of a partition (FLEETSCORE_DATA_PARTITION): "
        "'20180828T2330Z/press-1.csv'; '20180828T2330Z/press-2.csv'"
    )


def test_store_whose_readings_start_no_partition_is_not_empty(fleet: Fleet) -> None:
    fleet.put("press-1", readings("press-1"), "20180828T2330Z")
    assert checked(fleet)[0].no_partition.count == 1


def test_devices_without_model_or_readings_are_named(fleet: Fleet) -> None:
    fleet.device("both")
    fleet.put("only-data", readings("only-data"))
    fleet.store.write("models", "only-model.joblib", bundle({"1": a_model()}))
    check, _ = checked(fleet)
    assert (check.without_model.examples, check.without_data.examples) == (["only-data"], ["only-model"])
    assert (check.without_model.is_problem, check.without_data.is_problem) == (True, False)


@pytest.mark.parametrize(
    ("models", "data", "name", "text"),
    [
        (b"malformed", None, "bundles", "press-1.joblib: "),
        (bundle({"1": a_model(), "2": "broken"}), None, "bundles", "press-1.joblib, tag '2': "),
        (None, b"a;b\n", "readings", "20180828T2300Z/press-1.csv: the first line must name the columns"),
        (None, readings("press-1") + b"x\n", "bad_rows", "20180828T2300Z/press-1.csv: 1 row"),
        (None, readings("press-2"), "bad_rows", "20180828T2300Z/press-1.csv: 5 rows"),
        (None, readings("press-1", tags=("a", "b", "c", "d")), "no_match", "models of '1', readings of 'a', 'b', 'c'"),
        (None, readings("press-1", tags=("1", "x")), "unmodelled", "press-1: 'x'"),
        (bundle({"1": a_model(), "2": a_model()}), None, "silent", "press-1: '2'"),
    ],
    ids=["bundle", "model", "readings", "bad row", "other device", "no match", "unmodelled", "silent"],
)
def test_content_that_will_not_be_scored_is_named(
    fleet: Fleet, models: bytes | None, data: bytes | None, name: str, text: str
) -> None:
    fleet.device(models=models, data=data)
    finding = getattr(checked(fleet)[0], name)
    assert finding.count == 1
    assert text in finding.examples[0]


def test_tag_whose_rows_the_quality_rules_exclude_is_silent(fleet: Fleet) -> None:
    rows = [("2018-08-28T23:00:00Z", "press-1", *row) for row in (("1", "10"), ("2", "-9999"))]
    fleet.device(tags=("1", "2"), data=csv_of(*rows))
    check, _ = checked(fleet, quality=parse_quality('{"badValues": [-9999]}'))
    assert check.silent.examples == ["press-1: '2'"]
    assert check.bad_rows.examples == ["20180828T2300Z/press-1.csv: 1 row"]


def test_newest_readings_of_a_sample_are_read(fleet: Fleet) -> None:
    for number in range(20):
        fleet.device(f"press-{number:02}", data=csv_of())
        fleet.put(f"press-{number:02}", b"invalid\n", "20180829T0000Z")
    check, _ = checked(fleet, sample=10)
    assert (check.read_devices, check.readings.count, len(check.readings.examples)) == (10, 10, MAX_EXAMPLES)
    assert str(check.readings).endswith("and 5 more")
    assert "20180829T0000Z/press-00.csv" in check.readings.examples[0]


def test_empty_store_is_an_error_with_the_next_step(fleet: Fleet) -> None:
    with pytest.raises(DataInvalid, match="neither models nor readings; see `device-scorer import --help`"):
        checked(fleet)


def test_shared_path_cannot_be_checked(fleet: Fleet) -> None:
    check = StoreCheck(fleet.store, Settings(data_path="all.csv"), sample=1)
    with pytest.raises(DataInvalid, match=r"has no \{device\}"):
        list(check.run())


def test_archived_blob_does_not_end_the_check(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.device("press-1")
    fleet.device("press-2")
    read = FolderStore.read

    def archived(store: FolderStore, container: str, name: str, *, max_bytes: int | None = None) -> Blob | None:
        if "press-1.csv" in name and max_bytes is not None:  # a listing does not read
            raise ConfigurationInvalid("409 BlobArchived; rehydrate it")
        return read(store, container, name, max_bytes=max_bytes)

    monkeypatch.setattr(FolderStore, "read", archived)
    check, _ = checked(fleet)
    assert check.read_devices == 2
    assert check.readings.examples == ["20180828T2300Z/press-1.csv: 409 BlobArchived; rehydrate it"]


def test_check_counts_1_million_devices_and_names_5_examples_of_160_characters() -> None:
    assert (MAX_DEVICES, MAX_EXAMPLES, MAX_EXAMPLE_CHARS) == (1_000_000, 5, 160)
