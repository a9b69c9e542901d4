"""Run mutation tests over the planner and the scorer's scoring, and print the mutants that no test notices.

python -m hack.mutants                                   every module of the two packages (an hour or so on two cores)
python -m hack.mutants planner/queueing scoring/request  these modules

mutmut expects the sources in src/, so the tests run in a copy of the repository in .local/mutants.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".local" / "mutants"
PACKAGES = {
    "planner": ROOT / "operator/src/scoring_operator/planner",
    "scoring": ROOT / "scorer/src/device_scorer/scoring",
}
SOURCES = (ROOT / "operator/src/scoring_operator", ROOT / "scorer/src/device_scorer")
TESTS = ("tests/unit/operator/planner", "tests/unit/scorer/scoring", "tests/simulation/test_planner.py")
COPIED = ("charts", "crds", "demo", "docker", "examples", "hack", "localcluster", "operator", "scorer", "tests")
UNNOTICED = ("survived", "no tests")
SETTINGS = """
[tool.mutmut]
source_paths = ["src"]
only_mutate = {modules}
also_copy = {copied}
pytest_add_cli_args = ["-m", "not needs_services and not slow", "-p", "no:xdist"]
pytest_add_cli_args_test_selection = {tests}
"""


def all_modules() -> list[str]:
    """Return the names of the modules that are mutated, such as planner/queueing."""
    return [
        f"{package}/{path.stem}"
        for package, folder in PACKAGES.items()
        for path in sorted(folder.glob("*.py"))
        if path.name != "__init__.py"
    ]


def settings(modules: Sequence[str]) -> str:
    """Return mutmut's settings for these modules."""
    paths = []
    for module in modules:
        package, _, name = module.partition("/")
        paths.append(str(Path("src", *PACKAGES[package].parts[-2:], f"{name}.py")))
    files = [path.name for path in ROOT.glob("Dockerfile.*")]
    return SETTINGS.format(modules=paths, copied=[*COPIED, *files], tests=list(TESTS)).replace("'", '"')


def prepare(folder: Path, modules: Sequence[str]) -> None:
    """Copy what the tests need into a fresh folder, with the sources of both distributions in src/."""
    shutil.rmtree(folder, ignore_errors=True)
    unwanted = shutil.ignore_patterns("__pycache__", ".*")
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=unwanted)
    for source in SOURCES:
        shutil.copytree(source, folder / "src" / source.name, ignore=unwanted)
    for path in (*ROOT.glob("Dockerfile.*"), ROOT / "VERSION"):
        shutil.copy(path, folder)
    (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text() + settings(modules))


def mutmut(*arguments: str) -> str:
    """Run mutmut in the folder of the copy and return its output."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"mutmut {' '.join(arguments)} failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def states(results: str) -> dict[str, str]:
    """Return the state of each mutant from the output of `mutmut results`."""
    pairs = (line.strip().rsplit(": ", 1) for line in results.splitlines() if ": " in line)
    return {name: state for name, state in pairs if "__mutmut_" in name}


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code: 0 even if mutants survive."""
    parser = argparse.ArgumentParser(prog="hack.mutants", description="Run mutation tests.")
    parser.add_argument("modules", nargs="*", choices=[*all_modules(), []], metavar="MODULE", help="e.g. planner/plan")
    modules = parser.parse_args(arguments).modules or all_modules()
    prepare(FOLDER, modules)
    mutmut("run")
    found = states(mutmut("results", "--all", "true"))
    survivors = [name for name, state in found.items() if state in UNNOTICED]
    for name in survivors:
        print(mutmut("show", name))
    print(f"{len(survivors)} of {len(found)} mutants were not noticed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
