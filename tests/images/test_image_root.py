"""Commands in an unpacked image: the process that runs them, what they read and write, and the machine's user."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster.errors import ClusterError
from tests.testkit.image_root import Image, unpack_image


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    folder = tmp_path_factory.mktemp("operator")
    yield unpack_image("operator", folder)
    subprocess.run(["rm", "-rf", folder], check=True)


@pytest.mark.needs_services
def test_command_of_an_image_has_the_id_of_the_started_process(image: Image) -> None:
    code = "import os, sys; print(os.getpid(), sys.executable, os.environ['POD_NAME'])"
    command = image.command_line("python", "-c", code)
    with subprocess.Popen(command, env=os.environ | {"POD_NAME": "a"}, stdout=subprocess.PIPE, text=True) as process:
        output = process.communicate(timeout=60)[0]
    assert output.split() == [str(process.pid), "/opt/operator/bin/python", "a"]


@pytest.mark.needs_services
def test_command_of_an_image_writes_only_to_tmp_and_given_folders(image: Image, tmp_path: Path) -> None:
    script = f"touch /tmp/a {tmp_path}/a && ! touch /opt/a"
    command = image.command_line("sh", "-c", script, user="0:0", folders=[tmp_path])
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "touch: cannot touch '/opt/a': Read-only file system\n")
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]
    assert list((image.root / "tmp").iterdir()) == []


def test_image_that_another_user_unpacks_is_rejected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ClusterError, match="only root can unpack and run an image, not user 1000: sudo -i, then"):
        unpack_image("operator", tmp_path)
