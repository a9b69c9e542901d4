from scoring_operator.controller.timings import ControllerTimings, ProcessTimings, Timings
from scoring_operator.kube.client import ClientTimeouts


def test_intervals_of_the_controller_have_these_defaults() -> None:
    assert ControllerTimings() == ControllerTimings(
        min_reconcile_interval=0.2,
        resync_interval=60.0,
        list_retry_interval=5.0,
        first_list_timeout=15.0,
        max_backoff=30.0,
        save_interval=2.0,
        status_interval=1.0,
        collect_interval=2.0,
        assumed_timeout=30.0,
        stall_timeout=20.0,
        inspection_interval=10.0,
        discovery_retry_interval=5.0,
        storage_backoff=5.0,
        offer_delay=1.0,
        gathering_time=0.3,
        gathering_min_jobs=20,
    )


def test_intervals_of_the_process_have_these_defaults() -> None:
    assert ProcessTimings() == ProcessTimings(
        liveness_timeout=600.0,
        stop_timeout=20.0,
        load_interval=5.0,
        restart_delay=5.0,
        kopf_restart_delay=2.0,
        kopf_inactivity_timeout=70.0,
        kopf_request_timeout=30.0,
        kopf_backoffs=(1, 1, 2, 3, 5, 8, 13, 20),
        namespace_recheck_interval=30.0,
    )


def test_informer_relists_every_5_minutes_with_the_default_timeouts_of_the_client() -> None:
    assert (Timings().relist_interval, Timings().client) == (300.0, ClientTimeouts())
