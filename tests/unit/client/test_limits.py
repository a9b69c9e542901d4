"""The limits of the client that no test of their module states as a number."""

from datetime import UTC, datetime, timedelta
from types import ModuleType

import pytest

from fleetscore import compaction, interrupts, model_bounds, replay, scorer_program
from fleetscore.cli import device as device_command
from fleetscore.cli import doctor, layout, logs, output, schedules, windows
from fleetscore.cli import replay as replay_command
from fleetscore.cluster import connection, lists, release
from fleetscore.console import app, connections, device, downloads, live, pages, reader, runs, server
from fleetscore.contract import content_encoding, documents, mutes, tiles
from fleetscore.contract import schedules as schedules_file
from fleetscore.doctor import (
    gather_consoles,
    gather_fleets,
    gather_operators,
    gather_schedules,
    gather_storage,
    operator_checks,
    parallel,
    pods,
    run_checks,
)
from fleetscore.runs import cron, follow, gaps, state
from fleetscore.store import base, folder

LIMITS: dict[ModuleType, dict[str, object]] = {
    app: {"MAX_ID_CHARS": 1024, "MAX_FILES": 2, "MAX_REPORTS": 4},
    base: {"MAX_BLOB_BYTES": 256 * 2**20},
    compaction: {"MIN_GROUP_ROWS": 100_000},
    connection: {"MAX_CONNECTIONS": 64, "RETRY_AFTER_SECONDS": 5},
    connections: {"MAX_CONNECTIONS": 64, "REQUEST_SECONDS": 10, "MAX_UNREAD_CHECKS": 3},
    content_encoding: {"MAX_ENCODINGS": 3, "MAX_MEMBERS": 100_000},
    cron: {"MAX_EXPRESSION_CHARS": 1000, "MAX_STEPS": 5 * 366 + 5 * 400, "MAX_ZONE_CHARS": 64},
    device: {"MAX_PLOTTED_LENGTH": timedelta(days=2)},
    device_command: {"MAX_LISTED": 10, "WIDE_STRIP_WINDOWS": 168},
    doctor: {"MIN_CHARS": 100},
    documents: {"MAX_REASON_CHARS": 200},
    downloads: {"PART_BYTES": 64 * 1024},
    folder: {"_MAX_METADATA_BYTES": 64 * 1024},
    follow: {"POLL_SECONDS": 2, "PACE_SECONDS": 120, "MIN_PACE_SECONDS": 3},
    gaps: {"MAX_WINDOWS": 10_000, "MAX_NAME_CHARS": 50},
    gather_consoles: {"MAX_PODS": 3, "LOG_LINES": 200, "MAX_LOG_BYTES": 2**20},
    gather_fleets: {"MAX_ACTIVE_RUNS": 20},
    gather_operators: {"MAX_WATCHED": 5},
    gather_schedules: {"MAX_SCHEDULES": 50, "MAX_DUE_WINDOWS": 48},
    gather_storage: {"MAX_OUTBOX_BYTES": 8 * 2**20},
    interrupts: {"REPEAT_SECONDS": 3},
    layout: {"MAX_WORD_WIDTH": 24},
    lists: {"PAGE_OBJECTS": 500},
    live: {"POLL_SECONDS": 2, "MAX_STREAM_SECONDS": 600, "MAX_MESSAGE_CHARS": 500},
    logs: {"MAX_LOG_BYTES": 10 * 2**20},
    model_bounds: {"MAX_TAGS": 20, "ROUNDS": 3},
    mutes: {"MAX_TEXT_CHARS": 200},
    operator_checks: {"MAX_CLOCK_SECONDS": 30, "LEASE_SLACK_SECONDS": 15},
    output: {"PIPE_WIDTH": 4096},
    pages: {"MAX_GAPS": 50},
    parallel: {"MAX_THREADS": 16},
    pods: {"MAX_CHARS": 200, "MIN_RESTARTS": 3, "RECENT": timedelta(hours=1)},
    reader: {
        "MAX_CSV_BYTES": 128 * 2**20,
        "MAX_EVENTS": 100,
        "MAX_JOBS": 200,
        "MAX_TILES": 8,
        "CLOCK_TOLERANCE": timedelta(days=1),
    },
    release: {"MAX_EVENTS": 500},
    replay: {"MAX_ETAGS_CHARS": 1500},
    replay_command: {"MAX_SHOWN": 100},
    run_checks: {"MAX_WAIT": timedelta(minutes=15), "MAX_UNSEEN": timedelta(minutes=2)},
    runs: {"MAX_WINDOWS": 48},
    schedules: {"MAX_LISTED_WINDOWS": 168},
    schedules_file: {"MAX_DURATION": timedelta(days=36_600), "DEFAULT_TTL": timedelta(days=7)},
    scorer_program: {"INSPECT_SECONDS": 120, "SCORE_SECONDS": 600, "MAX_MESSAGE_CHARS": 500},
    server: {"SHUTDOWN_SECONDS": 1},
    state: {"MAX_FAILURES_SHOWN": 5},
    tiles: {"MAX_PACKED_BYTES": 32 * 2**20, "MAX_SECONDS": datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()},
    windows: {"MAX_NAMED": 5},
}


@pytest.mark.parametrize("module", LIMITS, ids=lambda module: module.__name__.removeprefix("fleetscore."))
def test_module_has_the_stated_limits(module: ModuleType) -> None:
    assert {name: getattr(module, name) for name in LIMITS[module]} == LIMITS[module]
