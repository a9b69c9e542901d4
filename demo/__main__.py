"""The demo's command line: run, local, images, down."""

import argparse
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from demo import dataset, first_run, local_cluster, local_scoring, run
from demo.dataset import Dataset
from demo.errors import DemoError
from demo.workspace import CHECKOUT, Workspace
from localcluster.errors import ClusterError
from localcluster.progress import StepProgress
from localcluster.toolchain.images import ALL_IMAGE_NAMES, IMAGE_NAMES


def main() -> int:
    """Run one command and return its exit code; an error is printed as a message, with exit code 1."""
    # SIGTERM ends the demo as Ctrl-C does, together with the processes that the demo started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    arguments = _parser().parse_args()
    os.chdir(CHECKOUT)
    try:
        return _run_command(arguments, Workspace(arguments.folder, arguments.cluster))
    except (DemoError, ClusterError) as error:
        print(f"\n{error}\nFAIL", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. `make demo` continues from here; `make down` removes everything.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="demo", description="See the Makefile: make demo, demo-local, images, down.")
    parser.add_argument("--folder", type=Path, default=Workspace().root, help="the folder of all files (.local)")
    parser.add_argument(
        "--cluster", default=Workspace().cluster, help="the name of the cluster (demo); tests use another name"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    everything = commands.add_parser(
        "run", help="start cluster and storage, install the chart, score a window, show the predictions"
    )
    everything.add_argument(
        "--data", type=lambda text: Path(text).absolute(), help="a CSV with the columns TS,Device,Tag,Value"
    )
    everything.add_argument(
        "--train",
        choices=["before", "all"],
        default="before",
        help="the rows that train the models: before the window, or all",
    )
    everything.add_argument("--window", help="start/end; the default is the last full hour")
    everything.add_argument("--context", help="a context of your kubeconfig, to use its cluster")
    everything.add_argument("--registry", help="with --context: host/path of the registry for the images")
    commands.add_parser("local", help="simulate, train and score in a folder")
    images = commands.add_parser("images", help="build the images; load them into the demo's cluster if it is up")
    images.add_argument("--only-build", action="store_true", help="build only the images of the demo; load none")
    commands.add_parser("down", help="remove everything that the demo created")
    return parser


def _run_command(arguments: argparse.Namespace, workspace: Workspace) -> int:
    progress = StepProgress()
    if arguments.command == "local":
        return local_scoring.run(workspace.local_demo_folder, datetime.now(UTC))
    if arguments.command == "images":
        local_cluster.build_images(progress, IMAGE_NAMES if arguments.only_build else ALL_IMAGE_NAMES)
        if not arguments.only_build:
            local_cluster.load_images_if_up(workspace, progress)
        return 0
    if arguments.command == "down":
        return run.down(workspace, progress)
    if bool(arguments.context) != bool(arguments.registry):
        raise DemoError("CONTEXT and REGISTRY must be given together: your cluster pulls the images from the registry")
    note = None if arguments.context else first_run.first_run_note()
    if note:
        progress.print_line(note)
    return run.run(
        workspace,
        _prepare_dataset(arguments, workspace.demo_folder),
        progress,
        context=arguments.context,
        registry=arguments.registry,
    )


def _prepare_dataset(arguments: argparse.Namespace, folder: Path) -> Dataset:
    window = dataset.parse_window(arguments.window) if arguments.window else None
    if arguments.data:
        return dataset.import_readings(folder, arguments.data, train_on_all=arguments.train == "all", window=window)
    if window or arguments.train == "all":
        raise DemoError("WINDOW and TRAIN are only for your own readings; also give DATA=readings.csv")
    return dataset.simulate(folder, datetime.now(UTC))


if __name__ == "__main__":
    sys.exit(main())
