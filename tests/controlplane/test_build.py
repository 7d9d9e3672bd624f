"""The executables are built once, by one process, and never half."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.controlplane.build import COMPONENTS, BuildError, build, executables, kubernetes_version

COMPILER = """#!/bin/sh
case "$1" in
env) echo go1.99.0 ;;
list) echo fmt ;;
build) echo built >> "$JOURNAL"; [ -z "$BROKEN" ] || { echo "main.go:1: broken" >&2; exit 1; }
    while [ "$1" != -o ]; do shift; done; sleep 1; touch "$2" ;;
esac
"""


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts a Go on PATH that only notes what it is asked to build, and an empty cache in the user's place."""
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text(COMPILER)
    go.chmod(0o755)
    monkeypatch.setenv("PATH", str(go.parent), prepend=":")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("JOURNAL", str(tmp_path / "journal"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return tmp_path / "journal"


def test_processes_that_need_it_at_once_share_one_build(journal: Path) -> None:
    command = [sys.executable, "-c", "from tests.controlplane.build import build; print(build())"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = {process.communicate()[0].strip() for process in processes}
    assert journal.read_text().split() == ["built"]
    assert [all((Path(answer) / name).exists() for name in COMPONENTS) for answer in answers] == [True]


def test_a_failed_build_says_why_and_leaves_nothing_to_reuse(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setenv("BROKEN", "yes")
        with pytest.raises(BuildError, match=r"main\.go:1: broken"):
            build()
    assert (build() / "kubectl").exists()
    assert journal.read_text().split() == ["built", "built"]


def test_a_change_of_source_is_built_anew(journal: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("go.sum", "main.go"):
        (source / name).touch()
    (source / "go.mod").write_text("module m\n\ngo 1.26\n\nrequire (\n\tk8s.io/kubernetes v1.2.3\n)\n")
    first = build(source)
    (source / "main.go").write_text("package main\n")
    assert build(source) != first
    assert kubernetes_version(source) == "v1.2.3"


def test_given_executables_are_used_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    for name in ("etcd", "kube-apiserver", "kubectl"):
        (tmp_path / name).touch(mode=0o755)
    with pytest.raises(BuildError, match="has no kube-controller-manager"):
        executables()
    (tmp_path / "kube-controller-manager").touch(mode=0o755)
    assert executables() == tmp_path
