"""F5 to F11, F20: what goes wrong between operator and API server changes nothing of what a run comes to.

One operator lives through all of it behind one proxy. In `make test` its timeouts are short (conftest.py).
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.faults.api_faults import (
    AnswerLost,
    Closing,
    Cut,
    Dropped,
    Refused,
    ShiftedDate,
    Shuffled,
    Silent,
    Slow,
    Throttling,
    TooOld,
    regressions,
)
from tests.faults.conftest import NewSite
from tests.faults.harness import RunResult, Site
from tests.testkit.fault_proxy import Fault, Proxy, proxied
from tests.testkit.measurements import Long, RecordMeasurement
from tests.testkit.operator_process import Operator
from tests.testkit.waiting import until


@dataclass(frozen=True)
class Trial:
    """A fault and what it may cost."""

    fault: pytest.MarkDecorator
    name: str
    make: Callable[[], Fault]
    short: float | None = 0.0  # seconds that it lasts; 0: until the run has ended; None: `make faults` alone tries it
    long: float = 0.0
    spec: dict[str, Any] = field(default_factory=dict)


TRIALS = [
    Trial(
        pytest.mark.fault("F5"),
        "a tenth of all events is dropped",
        lambda: Dropped(0.1),
        short=None,
        spec={"parallelism": 1000},
    ),
    Trial(pytest.mark.fault("F5"), "no event arrives", Dropped, spec={"parallelism": 1000}),
    Trial(pytest.mark.fault("F6"), "watches fall silent", Silent),
    Trial(pytest.mark.fault("F7"), "watches are closed after a second", lambda: Closing(1.0)),
    Trial(pytest.mark.fault("F7"), "watches are rejected with 410", TooOld, short=4, long=60),
    Trial(
        pytest.mark.fault("F7"), "every fifth event is an ERROR 410", lambda: TooOld(every=5, as_event=True), short=None
    ),
    Trial(
        pytest.mark.fault("F7"), "every fifth event is an ERROR 500", lambda: TooOld(every=5, code=500, as_event=True)
    ),
    Trial(pytest.mark.fault("F8"), "events are doubled, late and out of order", lambda: Shuffled(2.0)),
    Trial(pytest.mark.fault("F9"), "a tenth of writes is throttled", lambda: Throttling(share=0.1), short=None),
    Trial(pytest.mark.fault("F9"), "half of all writes is throttled", lambda: Throttling(share=0.5), short=5, long=60),
    Trial(pytest.mark.fault("F9"), "all writes are throttled", lambda: Throttling(share=1.0), short=None, long=60),
    Trial(
        pytest.mark.fault("F10"),
        "a third of requests ends in 500",
        lambda: Refused(500, share=0.3),
        short=None,
        long=20,
    ),
    Trial(
        pytest.mark.fault("F10"),
        "a third of requests ends in 503",
        lambda: Refused(503, share=0.3),
        short=None,
        long=20,
    ),
    Trial(
        pytest.mark.fault("F10"),
        "a third of requests ends in 504",
        lambda: Refused(504, share=0.3),
        short=None,
        long=20,
    ),
    Trial(pytest.mark.fault("F10"), "a third of connections is cut", lambda: Cut(0.3), short=5, long=20),
    Trial(pytest.mark.fault("F10"), "a third of writes is done and the answer lost", lambda: AnswerLost(share=0.3)),
    Trial(
        pytest.mark.fault("F10"),
        "a third of writes is done and never answered",
        lambda: AnswerLost(share=0.3, silent=True),
        short=None,
    ),
    Trial(pytest.mark.fault("F10"), "answers come up to half a second late", lambda: Slow(0.5), short=None),
    Trial(
        pytest.mark.fault("F11"),
        "a third of requests is answered 401",
        lambda: Refused(401, share=0.3),
        short=None,
        long=20,
    ),
    Trial(pytest.mark.fault("F11"), "everything is forbidden", lambda: Refused(403, share=1.0), short=4, long=300),
    Trial(pytest.mark.fault("F20"), "the API server's clock is an hour ahead", lambda: ShiftedDate(3600), short=None),
    Trial(pytest.mark.fault("F20"), "the API server's clock is an hour behind", lambda: ShiftedDate(-3600), short=None),
]


@dataclass
class ProxiedOperator:
    """An operator behind a proxy, and how a run under it ends when nothing goes wrong."""

    site: Site
    proxy: Proxy
    operator: Operator
    baseline_run: RunResult
    baseline_seconds: float


@pytest.fixture(scope="module")
def proxied_operator(new_site: NewSite, long: Long, short_timeouts: list[str]) -> Iterator[ProxiedOperator]:
    site = new_site(200 if long else 12)
    with proxied(site.cluster) as proxy:
        site.behind(proxy.url)
        with site.operator("operator", *short_timeouts) as operator:
            began = time.monotonic()
            start(site, "baseline")
            site.until_ended("baseline")
            yield ProxiedOperator(site, proxy, operator, site.result("baseline"), time.monotonic() - began)


def start(site: Site, name: str, **spec: Any) -> None:
    site.run(name, **{"parallelism": 50 if site.devices > 50 else 6} | spec)


def param(trial: Trial) -> Any:
    left_out = [pytest.mark.long_only] if trial.short is None else []
    return pytest.param(trial, marks=[trial.fault, *left_out], id=trial.name)


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("trial", [param(trial) for trial in TRIALS])
def test_run_with_an_api_fault_ends_like_the_baseline(
    proxied_operator: ProxiedOperator, trial: Trial, long: Long, record_measurement: RecordMeasurement
) -> None:
    site, name = proxied_operator.site, f"run-{TRIALS.index(trial)}"
    # Without any event it takes RESYNC for the run, and RELIST_SECONDS each for its Jobs, the late ones, its report's.
    lasting, limit = (trial.long, 1100.0) if long else (trial.short or 0.0, 240.0)
    fault, began = trial.make(), time.monotonic()
    with proxied_operator.proxy.having(fault):
        start(site, name, **trial.spec)

        def over() -> bool:
            return time.monotonic() > began + lasting and fault.count > 0 if lasting else site.ended(name)

        until(over, f"{name} has ended, or its fault is over", seconds=lasting + limit)
    site.until_ended(name, seconds=limit)
    seconds = time.monotonic() - began - lasting
    where = "after its end" if lasting else f"in all, baseline {proxied_operator.baseline_seconds:.1f} s"
    record_measurement(f"{fault.measurement()}; done {seconds:.1f} s {where}")
    assert fault.count
    assert site.result(name) == proxied_operator.baseline_run
    assert regressions(proxied_operator.proxy.statuses[name]) == []
    assert not isinstance(fault, Throttling) or fault.early == 0
    assert proxied_operator.operator.process.poll() is None
    site.remove(name)
