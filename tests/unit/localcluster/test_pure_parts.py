import hashlib
import io
import ipaddress
import json
import tarfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from localcluster import allocation
from localcluster.__main__ import main
from localcluster.errors import ClusterError, PreflightError
from localcluster.kubernetes.certificates import CertificateAuthority, kubeconfig_user, write_kubeconfig
from localcluster.kubernetes.control_plane import ControlPlane
from localcluster.machine import preflight
from localcluster.machine.checks import MissingRequirement
from localcluster.nodes import cgroups, pause_image, stages
from localcluster.nodes.layout import NodeLayout
from localcluster.paths import cluster_dir
from localcluster.progress import StepProgress, progress_line


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("container", NodeLayout(container=True, simulated=0)),
        ("kwok:4", NodeLayout(container=False, simulated=4)),
        ("container,kwok:5", NodeLayout(container=True, simulated=5)),
        ("none", NodeLayout(container=False, simulated=0)),
    ],
)
def test_nodes_are_read_as_they_are_written(text: str, nodes: NodeLayout) -> None:
    assert NodeLayout.parse(text) == nodes
    assert str(nodes) == text


@pytest.mark.parametrize("text", ["", "kwok", "kwok:0", "kwok:x", "containers", "container;kwok:1"])
def test_other_nodes_are_refused_with_what_would_do(text: str) -> None:
    with pytest.raises(ClusterError, match="use container, kwok:N"):
        NodeLayout.parse(text)


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a/b", "..", "a" * 31])
def test_a_cluster_name_that_could_reach_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(ClusterError, match="cluster name"):
        cluster_dir(name)


def test_the_first_slot_that_nobody_uses_is_chosen() -> None:
    busy = allocation.Slot(1).port("etcd")
    routed = [ipaddress.IPv4Network("10.162.5.0/24")]
    assert allocation.allocate([0], lambda port: port != busy, routed).number == 3


def test_slots_share_neither_ports_nor_networks() -> None:
    every = [allocation.Slot(number) for number in range(allocation.MAX_SLOTS)]
    ports = [port for slot in every for port in slot.ports]
    assert len(set(ports)) == len(ports)
    assert len({slot.network for slot in every}) == allocation.MAX_SLOTS
    for slot in every:
        parts = [ipaddress.ip_network(part, strict=False) for part in (slot.pods, slot.services, slot.simulated_pods)]
        assert all(part.subnet_of(slot.network) for part in parts)  # type: ignore[arg-type]  # all are version 4
        assert not any(a.overlaps(b) for a in parts for b in parts if a is not b)


def test_a_machine_without_room_is_told_what_is_taken() -> None:
    with pytest.raises(ClusterError, match="localcluster status"):
        allocation.allocate(range(allocation.MAX_SLOTS), lambda _: True, [])


def test_routes_are_read_without_the_default_route() -> None:
    table = (
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0102000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    )
    assert allocation.parse_routes(table) == [ipaddress.IPv4Network("10.0.2.0/24")]


def test_cgroups_of_both_versions_are_found(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    mounts = (
        "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\n"
        f"cgroup2 {tmp_path} cgroup2 rw,nosuid 0 0\n"
        "tmpfs /run tmpfs rw 0 0\n"
    )
    assert cgroups.find_hierarchies(mounts) == [Path("/sys/fs/cgroup/cpu,cpuacct"), tmp_path]
    assert {"cpu", "cpuacct", "memory", "pids"} <= cgroups.available_controllers(mounts)


def test_the_preflight_table_names_every_lack_with_what_mends_it() -> None:
    text = preflight.format_table(
        [
            MissingRequirement("root", "user 1000", "sudo -i"),
            MissingRequirement("overlay mounts", "none", "modprobe overlay"),
        ]
    )
    assert ["root", "user", "1000", "sudo", "-i"] in [row.split() for row in text.splitlines()]
    assert ["overlay", "mounts", "none", "modprobe", "overlay"] in [row.split() for row in text.splitlines()]
    assert "make demo-local" in text


def test_a_check_that_hangs_is_a_finding_and_delays_nobody() -> None:
    started = time.monotonic()

    def hangs() -> None:
        threading.Event().wait(0.5)

    found = preflight.run_checks(
        [lambda: MissingRequirement("registry", "refused", "set it"), hangs, lambda: None], timeout_seconds=0.1
    )
    assert [finding.requirement for finding in found] == ["registry", "an answer in time"]
    assert time.monotonic() - started < 0.4


def test_a_machine_that_lacks_something_is_refused_with_the_table() -> None:
    with pytest.raises(PreflightError, match="sudo -i"):
        preflight.require_machine(
            NodeLayout.parse("none"),
            missing={},
            extra_checks=[lambda: MissingRequirement("root", "user 1000", "sudo -i")],
        )


def test_progress_says_what_how_long_and_how_long_usually() -> None:
    assert progress_line("building helm", 31, 140) == "building helm: 0:31 (usually 2:20)"
    assert progress_line("waiting", 61, None) == "waiting: 1:01"


def test_progress_in_a_log_is_whole_lines() -> None:
    stream = io.StringIO()
    with StepProgress(stream).step("building", usual_seconds=5):
        pass
    first, last = stream.getvalue().splitlines()
    assert first == "building: 0:00 (usually 0:05)"
    assert last.startswith("building: done in ")


def test_progress_does_not_call_a_failed_step_done() -> None:
    stream = io.StringIO()
    with pytest.raises(ZeroDivisionError), StepProgress(stream).step("dividing"):
        _ = 1 // 0
    assert stream.getvalue().splitlines()[-1].startswith("dividing: stopped after ")


def test_the_pause_image_is_the_same_for_the_same_program_and_its_digests_are_right() -> None:
    archive = pause_image.build_image(b"program")
    assert archive == pause_image.build_image(b"program") != pause_image.build_image(b"other")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for name in files.getnames():
            if name.startswith("blobs/"):
                content = files.extractfile(name)
                assert content is not None
                assert hashlib.sha256(content.read()).hexdigest() == Path(name).name


def test_a_certificate_says_who_its_owner_is_and_where_it_serves(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path, "ca").create()
    certificate, key = authority.issue("node", "system:node:a", ["system:nodes"], names=["10.0.0.1", "a"])
    parsed = x509.load_pem_x509_certificate(certificate.read_bytes())
    parsed.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate.read_bytes()))
    assert parsed.subject.rfc4514_string() == "CN=system:node:a,O=system:nodes"
    names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("10.0.0.1")]
    assert names.get_values_for_type(x509.DNSName) == ["a"]
    assert key.stat().st_mode & 0o077 == 0


def test_a_kubeconfig_needs_no_other_file_and_is_nobody_elses_to_read(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path, "ca").create()
    user = kubeconfig_user(*authority.issue("a", "a"))
    path = write_kubeconfig(tmp_path / "config", server="https://x", ca=authority.certificate, user=user)
    assert str(tmp_path) not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("role", ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"])
def test_arguments_of_a_bench_come_last_so_that_they_win(role: str, tmp_path: Path) -> None:
    plane = ControlPlane(tmp_path, allocation.Slot(0), "127.0.0.1", tmp_path, tmp_path / "etcd", {role: ("--v=9",)})
    assert plane.command(role)[-1] == "--v=9"


def weight(stage: dict[str, Any]) -> int:
    return int(stage["spec"]["weight"])


def test_a_tests_stage_outweighs_the_default_ones() -> None:
    assert {weight(stage) for stage in stages.default_stages()} == {0}
    assert weight(stages.finish_pods("mine")) > 0
    assert weight(stages.keep_pods_pending("mine", reason="ErrImagePull")) > 0


def test_a_stage_keeps_a_messages_quotes_and_backquotes() -> None:
    template = stages.finish_pods("a", message='say "no" `now`')["spec"]["steps"][0]["patch"]["template"]
    assert json.dumps('say "no" `now`') in template


def test_the_command_line_tells_a_mistake_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "--name", "No Name"]) == 1
    assert capsys.readouterr().err.startswith("cluster name 'No Name' is invalid: use ")
