"""The command line: ``localcluster up|down|status|load-image``."""

import argparse
import signal
import sys
import types
from collections.abc import Sequence
from pathlib import Path

from localcluster import cluster_state, processes
from localcluster.cluster import Cluster
from localcluster.errors import ClusterError
from localcluster.paths import cluster_dir
from localcluster.progress import StepProgress

_EXIT_INTERRUPTED = 130  # a shell's exit code for a program that Ctrl-C ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Returns:
        0 on success, 1 after an error that is printed with its next step, 130 after an interrupt.
    """
    parsed = _parser().parse_args(arguments)
    # `kill` and a closed terminal clean up as Ctrl-C does. Background jobs of a shell ignore Ctrl-C.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _raise_interrupt)
    try:
        parsed.command(parsed)
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the next up or down removes the remains", file=sys.stderr)
        return _EXIT_INTERRUPTED
    return 0


def _raise_interrupt(_number: int, _frame: types.FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="localcluster", description="Run a Kubernetes cluster on this machine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="start a cluster; missing tools are built first (once, about ten minutes)")
    up.add_argument(
        "--nodes",
        default="container",
        help="container (pods are containers), kwok:N (N simulated nodes), both joined by a comma, or none; default: "
        "%(default)s",
    )
    up.set_defaults(command=_up)

    down = commands.add_parser("down", help="remove a cluster, except the cache of built tools")
    down.add_argument("--all", action="store_true", help="all clusters of this machine")
    down.set_defaults(command=_down)

    commands.add_parser("status", help="list the clusters and their states").set_defaults(command=_status)

    load = commands.add_parser("load-image", help="load an image from a docker or OCI archive into a cluster's node")
    load.add_argument("archive", type=Path, metavar="ARCHIVE", help="the archive, e.g. of docker save")
    load.set_defaults(command=_load_image)

    for command in (up, down, load):
        command.add_argument("--name", default="default", help="the name of the cluster; default: %(default)s")
    return parser


def _up(parsed: argparse.Namespace) -> None:
    cluster = Cluster.up(parsed.name, parsed.nodes)
    print(f"cluster {cluster.name} is up: {cluster.server}\nexport KUBECONFIG={cluster.kubeconfig}")


def _down(parsed: argparse.Namespace) -> None:
    progress = StepProgress()
    for name in cluster_state.list_clusters() if parsed.all else [parsed.name]:
        existed = cluster_dir(name).exists()
        cluster_state.remove_cluster(name, progress=progress)
        print(f"cluster {name} is down" if existed else f"there is no cluster {name}")


def _status(_parsed: argparse.Namespace) -> None:
    names = cluster_state.list_clusters()
    for name in names:
        print("\n".join(_describe(name)))
    if not names:
        print("no clusters; start one with: localcluster up")


def _describe(name: str) -> list[str]:
    running = processes.find_processes(cluster_dir(name))
    try:
        cluster = Cluster.open(name)
    except ClusterError:
        return [f"{name}: incomplete or starting, {len(running)} processes; localcluster down --name {name} removes it"]
    missing = sorted(set(cluster.roles()) - set(running.values()))
    state = f"without {', '.join(missing)}" if missing else "up" if cluster.is_healthy() else "not answering"
    numbers = " ".join(f"{role}:{pid}" for pid, role in sorted(running.items()))
    return [
        f"{name}: {state}, nodes {cluster.nodes}, {cluster.server}",
        f"  KUBECONFIG={cluster.kubeconfig}",
        f"  logs: {cluster_dir(name)}/logs",
        f"  processes: {numbers}",
    ]


def _load_image(parsed: argparse.Namespace) -> None:
    if not parsed.archive.is_file():
        raise ClusterError(f"{parsed.archive}: no such file; write one with: docker save -o {parsed.archive} IMAGE")
    Cluster.open(parsed.name).load_image(parsed.archive)
    print(f"loaded {parsed.archive} into cluster {parsed.name}")


if __name__ == "__main__":
    sys.exit(main())
