"""Import every module of each distribution in a virtual environment that has only its own dependencies.

python -m hack.isolated [NAME...]

A module that imports a package of another distribution, or a package that its own pyproject.toml lacks, fails here. The
versions are those of requirements/dev.txt.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "operator": "scoring_operator",
    "scorer": "device_scorer",
    "localcluster": "localcluster",
    "client": "fleetscore",
}
UV = str(Path(sys.executable).with_name("uv"))
# `walk_packages` imports packages only, so each module is imported by name.
IMPORT_ALL = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
names = [found.name for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
for name in names:
    if not name.endswith(".__main__"):
        importlib.import_module(name)
print(f"{package.__name__}: {len(names)} modules imported")
"""


def main(names: Sequence[str]) -> int:
    """Check the named distributions (default: all) and return the exit code."""
    if unknown := sorted(set(names) - set(PACKAGES)):
        print(f"distribution '{unknown[0]}' is unknown; use {', '.join(PACKAGES)}", file=sys.stderr)
        return 64
    failed = [name for name in names or PACKAGES if not imports_alone(name)]
    return 1 if failed else 0


def imports_alone(name: str) -> bool:
    """Install a distribution alone and return whether all of its modules can be imported."""
    with tempfile.TemporaryDirectory() as scratch:
        environment = Path(scratch) / "environment"
        python = str(environment / "bin" / "python")
        subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, str(environment)], check=True)
        pins = ["--constraint", "requirements/dev.txt", "--build-constraint", "requirements/dev.txt"]
        subprocess.run([UV, "pip", "install", "--quiet", "--python", python, *pins, f"./{name}"], check=True, cwd=ROOT)
        command = [python, "-I", "-W", "error", "-c", IMPORT_ALL, PACKAGES[name]]
        return subprocess.run(command, check=False, cwd=scratch).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
