"""The distribution of tests among the workers of pytest-xdist: pure tests one by one, tests with services in groups.

Tests with services wait for half of their time, and have timeouts. The last worker begins with the pure tests, at a
lower priority, so that they use the cores meanwhile.

The workers know the fixtures of each test, and the process that distributes the tests does not. So a worker saves the
groups in a file before that process needs them. (The groups of pytest-xdist itself are a part of a test's id.)
"""

import json
import os
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

GROUPS_FILE = "groups_file"
PURE_NICENESS = 2  # two thirds of the weight of a process with niceness 0, see sched(7)


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist has no types
    """A scheduler that assigns all tests of a group to one worker, in the order of the collection."""

    def __init__(self, config: pytest.Config, log: Producer | None, groups_file: Path) -> None:
        super().__init__(config, log)
        self._file = groups_file
        self._groups: dict[str, str] = {}

    def _split_scope(self, nodeid: str) -> str:
        """Return the group of a test; a test without a group is a group of its own."""
        self._groups = self._groups or json.loads(self._file.read_text())
        return self._groups.get(nodeid, nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        """Assign the next group to a worker; the last worker gets the last group."""
        if node is self.nodes[-1]:
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)


class Distribution:
    """The hooks of the process that distributes the tests."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="fleetscore-tests-")
        self._file = Path(self._folder.name) / "groups.json"

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: WorkerController) -> None:
        """Pass the name of the file to a worker."""
        node.workerinput[GROUPS_FILE] = str(self._file)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> GroupScheduling | None:
        """Return the scheduler of `--dist loadgroup`."""
        return GroupScheduling(config, log, self._file) if config.getoption("dist") == "loadgroup" else None

    def pytest_unconfigure(self) -> None:
        """Delete the file."""
        self._folder.cleanup()


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Distribution())


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reports the end of the collection
def pytest_collection_finish(session: pytest.Session) -> None:
    """Save the groups of all tests, in a worker."""
    file = getattr(session.config, "workerinput", {}).get(GROUPS_FILE)
    if file:
        groups = {
            item.nodeid: mark.args[0] for item in session.items if (mark := item.get_closest_marker("xdist_group"))
        }
        # Every worker writes the same content: replacing the file is atomic.
        new = Path(f"{file}.{session.config.workerinput['workerid']}")  # type: ignore[attr-defined]  # of pytest-xdist
        new.write_text(json.dumps(groups))
        new.replace(file)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Set the priority of a worker for its next test; only root may raise it again."""
    if hasattr(item.config, "workerinput") and os.geteuid() == 0:
        os.setpriority(os.PRIO_PROCESS, 0, 0 if item.get_closest_marker("xdist_group") else PURE_NICENESS)
    return (yield)
