"""The installed program `device-scorer`, which reads models and scores; the client has no code of the scorer.

The program gets a folder with copies, and the settings of the fleet's layout. It gets no credential.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fleetscore.contract.fleets import FleetLayout
from fleetscore.contract.windows import Window, format_duration, format_time
from fleetscore.errors import DataInvalid, NotFound
from fleetscore.interrupts import temporary_folder
from fleetscore.texts import printable

PROGRAM = "device-scorer"
INSPECT_SECONDS = 120
SCORE_SECONDS = 600
MAX_MESSAGE_CHARS = 500


def find_program() -> Path:
    """Return the path of the program: in the folder of this Python, or on the PATH.

    Raises:
        NotFound: It is not installed.
    """
    own = Path(sys.executable).parent / PROGRAM
    found = str(own) if own.is_file() else shutil.which(PROGRAM)
    if found is None:
        text = f"{PROGRAM} is not installed: it reads models and scores; install the distribution in scorer/"
        raise NotFound(f"{text} next to this one")
    return Path(found)


def inspect(bundle: bytes, name: str) -> list[dict[str, Any]]:
    """Return the description of each tag of a bundle; no code of the bundle runs.

    Args:
        bundle: The content of the bundle.
        name: The name of its blob, for messages.

    Raises:
        NotFound: The program is not installed.
        DataInvalid: The bundle cannot be used at all, or the program is another version.
    """
    with temporary_folder() as folder:
        path = folder / "bundle.joblib"
        path.write_bytes(bundle)
        code, out, error = _run(["inspect", "--output", "json", str(path)], {}, INSPECT_SECONDS)
    try:
        document = json.loads(out)
    except ValueError:
        document = None
    if code not in (0, 65) or not isinstance(document, list):
        reason = error.replace(str(path), name) or f"{PROGRAM} ended with code {code}"
        raise DataInvalid(f"model {name} cannot be read: {reason}")
    return [one for one in document if isinstance(one, dict)]


def score(folder: Path, layout: FleetLayout, window: Window, device: str, tags: Sequence[str] | None) -> str:
    """Score a device whose inputs are in a folder.

    Args:
        folder: The folder with the containers models and data; the predictions are written into it.
        layout: The layout of the fleet.
        window: The window.
        device: The device's id.
        tags: The tags; None for all.

    Returns:
        The line that the program prints about the device.

    Raises:
        NotFound: The program is not installed.
        DataInvalid: The device cannot be scored.
    """
    span = ["--window-start", format_time(window.start), "--window-end", format_time(window.end)]
    words = ["score", "--store", str(folder), *span, *(word for tag in tags or () for word in ("--tag", tag))]
    code, out, error = _run([*words, "--", device], _settings(layout), SCORE_SECONDS)
    if code != 0:
        reason = error or printable(out) or f"{PROGRAM} ended with code {code}"
        raise DataInvalid(f"{device} cannot be scored: {reason}")
    return out.strip()


def _settings(layout: FleetLayout) -> dict[str, str]:
    return {
        "FLEETSCORE_MODELS_PATH": layout.models_path,
        "FLEETSCORE_DATA_PATH": layout.data_path,
        "FLEETSCORE_PREDICTIONS_PATH": layout.predictions_path,
        "FLEETSCORE_DATA_PARTITION": f"PT{format_duration(layout.partition).upper()}",
        **({"FLEETSCORE_QUALITY": json.dumps(layout.quality, sort_keys=True)} if layout.quality else {}),
    }


def _run(words: Sequence[str], settings: Mapping[str, str], seconds: float) -> tuple[int, str, str]:
    """Run the program and return its exit code, its output and its last message."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("FLEETSCORE_", "AZURE_"))}
    try:
        ended = subprocess.run(
            [str(find_program()), *words],
            env={**inherited, **settings},
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DataInvalid(f"{PROGRAM} did not end within {seconds:g} s; run it with a smaller window") from error
    except OSError as error:
        text = f"{PROGRAM} cannot be started: {error.strerror or error}"
        raise NotFound(f"{text}; install the distribution in scorer/ again") from error
    return ended.returncode, ended.stdout.decode(errors="replace"), _message(ended.stderr.decode(errors="replace"))


def _message(text: str) -> str:
    """Return the last message of the program: its lines are text on a terminal, and JSON otherwise."""
    line = text.strip().rpartition("\n")[2]
    try:
        document = json.loads(line)
    except ValueError:
        document = None
    found = str(document.get("message", line)) if isinstance(document, dict) else line.removeprefix("error: ")
    return printable(found, max_chars=MAX_MESSAGE_CHARS)
