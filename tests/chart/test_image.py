"""The image, built without Docker: the steps of the Dockerfile's first stage in folders of the test's own."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chart.helm import ROOT

pytestmark = pytest.mark.deep

DOCKERFILE = (ROOT / "Dockerfile").read_text()
OFFLINE = "--no-index --find-links=requirements/wheels"


def steps(stage: int) -> Iterator[tuple[str, str]]:
    """Instruction and argument of every line of a stage."""
    _, *stages = re.split(r"^FROM .*\n", DOCKERFILE, flags=re.MULTILINE)
    for line in stages[stage].replace("\\\n", "").splitlines():
        if line.strip():
            instruction, _, argument = line.partition(" ")
            yield instruction, argument


def settings(stage: int) -> dict[str, str]:
    """What ENV sets."""
    return dict(
        word.split("=", 1)
        for instruction, argument in steps(stage)
        if instruction == "ENV"
        for word in shlex.split(argument)
    )


def built(directory: Path, wheels: Path, pip_flags: str) -> Path:
    """What the first stage leaves in /opt/sslorder, made of what .dockerignore lets through."""
    build, result = directory / "build", directory / "opt"
    environment = settings(0) | {"PIP_FLAGS": pip_flags, "PATH": os.environ["PATH"], "HOME": str(directory)}
    build.mkdir()
    for instruction, argument in steps(0):
        if instruction == "COPY":
            *sources, target = argument.split()
            for source in sources:
                place = build / target / (Path(source).name if target == "./" else "")
                (copy_folder if source.endswith("/") else shutil.copy)(ROOT / source, place)
            if "requirements/" in sources:
                shutil.copytree(wheels, build / "requirements" / "wheels", dirs_exist_ok=True)
        elif instruction == "RUN":
            line = argument.replace("/build/", f"{build}/").replace("/opt/sslorder", str(result))
            line = re.sub(r"(^|&& )python ", rf"\1{sys.executable} ", line)
            subprocess.run(["sh", "-c", line], cwd=build, env=environment, check=True)
    return result


def copy_folder(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "wheels"))


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Filled by the very command that the Dockerfile tells."""
    directory = tmp_path_factory.mktemp("wheels")
    told = re.search(r"^#   (pip download .*\\\n#     .*)$", DOCKERFILE, re.MULTILINE)
    assert told is not None
    words = shlex.split(told[1].replace("\\\n#", " "))
    words[words.index("requirements/wheels")] = str(directory)
    subprocess.run([sys.executable, "-m", *words, "--quiet"], cwd=ROOT, check=True)
    return directory


def test_it_is_built_from_a_wheelhouse_without_a_network(wheels: Path, tmp_path: Path) -> None:
    image = built(tmp_path, wheels, OFFLINE)
    said = subprocess.run(
        [image / "bin" / "sslorder", "run", "--help"], capture_output=True, text=True, check=True
    )
    assert "--watch-namespaces" in said.stdout
    packages = {path.name for path in (image / "lib").glob("python*/site-packages/*")}
    assert not packages & {"pip", "hatchling", "pytest", "setuptools"}
    assert list(image.rglob("sslorder/**/*.pyc")), (
        "a root that is read-only cannot keep what is compiled later"
    )


def test_a_package_that_was_tampered_with_is_refused(wheels: Path, tmp_path: Path) -> None:
    tampered = tmp_path / "tampered"
    shutil.copytree(wheels, tampered)
    wheel = next(tampered.glob("requests-*.whl"))
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    with pytest.raises(subprocess.CalledProcessError):
        built(tmp_path, tampered, OFFLINE)


def test_it_runs_as_nobody_special() -> None:
    last = dict(steps(1))
    assert last["USER"] == "65532:65532"
    assert last["ENTRYPOINT"] == '["/opt/sslorder/bin/sslorder"]'
