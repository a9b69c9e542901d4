import io
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from demo import image_build
from demo.errors import DemoError
from demo.image_build import ImageBuild
from demo.workspace import Workspace

from localcluster.progress import StepProgress
from tests.testkit.waiting import until
from tests.unit.demo.fake_programs import write_program


def a_build(log: Path, script: str) -> ImageBuild:
    with log.open("w") as file:
        return ImageBuild(subprocess.Popen(["sh", "-c", script], stdout=file), log)


def test_build_that_succeeds_is_waited_for(tmp_path: Path) -> None:
    a_build(tmp_path / "log", "exit 0").wait(StepProgress(io.StringIO()))


def test_failed_build_is_an_error_with_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(DemoError) as caught:
        a_build(tmp_path / "log", "seq 1 20; exit 1").wait(StepProgress(io.StringIO()))
    first, *lines, last = str(caught.value).splitlines()
    assert first == "the images could not be built:"
    assert lines == [str(number) for number in range(6, 21)]
    assert last == f"(complete log: {tmp_path / 'log'})"


@pytest.mark.parametrize("failed", [False, True])
def test_build_ends_with_the_demo(
    failed: bool,  # noqa: FBT001  a table's column
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", str(write_program(tmp_path / "python", 'echo "$@"; exec sleep 1000')))
    started: list[ImageBuild] = []

    def body() -> None:
        with image_build.build_images_in_background(Workspace(tmp_path)) as build:
            started.append(build)
            log = tmp_path / "demo" / "images.log"
            until(lambda: "-m demo images --only-build" in log.read_text(), "the build has begun")
            if failed:
                raise DemoError

    if failed:
        with pytest.raises(DemoError):
            body()
    else:
        body()
    assert started[0]._process.returncode == -signal.SIGINT


def test_ended_process_gets_no_signal() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    image_build.terminate(process)
    assert process.returncode == 0
