"""The packages that a command imports; pandas alone takes longer than most commands."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("pandas", "numpy", "pyarrow", "azure", "kubernetes", "urllib3", "starlette", "uvicorn", "jinja2")
MUTE = ("mute", "press-1", "--why", "new valve")


def imported_by(words: tuple[str, ...]) -> str:
    code = (
        "import sys\n"
        "from fleetscore.cli import main\n"
        f"code = main({words!r})\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
        "sys.exit(code)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return ended.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "words",
    [("--help",), ("completion", "bash"), ("anomalies", "--help"), ("ui", "--help"), ("mutes",), MUTE],
    ids=["help", "completion", "anomalies-help", "ui-help", "mutes", "mute"],
)
def test_command_without_a_dataframe_imports_no_heavy_package(words: tuple[str, ...], tmp_path: Path) -> None:
    store = () if {"--help", "completion"} & set(words) else ("--store", str(tmp_path))
    assert imported_by((*words, *store)) == "[]"


def test_command_of_the_cluster_imports_no_dataframe() -> None:
    code = (
        "import sys\n"
        "from fleetscore.cli import main\n"
        "code = main(['status', '--context', 'missing'])\n"
        "print(code, [name for name in ('pandas', 'numpy', 'azure') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "1 []\n"
