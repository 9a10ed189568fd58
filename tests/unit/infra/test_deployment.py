"""The files that other programs read name only what the repository has: azure.yaml, workflows, image, devcontainer."""

from __future__ import annotations

import json
import os
import re
from importlib.util import find_spec

import pytest

from infra.check import INFRA, ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCRIPTS = [
    *WORKFLOWS,
    ROOT / ".ci" / "run",
    ROOT / ".devcontainer" / "devcontainer.json",
    ROOT / ".pre-commit-config.yaml",
]
# A path of the repository as a command or a key writes it.
_PATH = re.compile(
    r"(?<![\w/.$-])(?:\./)?((?:\.ci|infra|docs|local|tests)/[\w./-]+|requirements[\w-]*\.txt|\.python-version)"
)
_MADE = {"infra/main.json"}  # committed by the first machine with a compiler; ci.yml asks whether there is one
_TARGET = re.compile(r"\bmake ([a-z]+)\b")
_MODULE = re.compile(r"python -m ([a-z_.]+)")


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def commands(text: str) -> str:
    """A file without its comments, which are for people."""
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith(("#", "//")))


def value(text: str, key: str) -> str:
    found = re.search(rf"^ *{key}: (\S+)$", text, re.MULTILINE)
    assert found, key
    return found[1]


def test_azd_finds_the_template_the_app_and_its_hooks() -> None:
    text = commands(read("azure.yaml"))
    assert (ROOT / value(text, "path") / f"{value(text, 'module')}.bicep").is_file()
    for name in ("host.json", "function_app.py", "requirements.txt"):
        assert (ROOT / value(text, "project") / name).is_file()
    hooks = re.findall(r"run: (\S+)", text)
    assert len(hooks) == 2
    for hook in hooks:
        assert (ROOT / hook).is_file(), hook
        assert hook.endswith(".ps1") or os.access(ROOT / hook, os.X_OK), f"{hook} can't be executed"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_names_paths_targets_and_modules_that_exist(path: os.PathLike[str]) -> None:
    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - any path
        text = commands(file.read())
    paths = {found.rstrip(".") for found in _PATH.findall(text)} - _MADE
    assert [one for one in sorted(paths) if not (ROOT / one).exists()] == []
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    assert set(_TARGET.findall(text)) <= targets
    outside = {"venv", "pip"}
    assert [one for one in set(_MODULE.findall(text)) - outside if find_spec(one) is None] == []


def test_the_pipeline_gives_every_variable_of_the_deployment() -> None:
    parameters = read("infra/main.parameters.json")
    needed = set(re.findall(r"\$\{([A-Z_]+)\}", parameters)) - {"AZURE_KEY_VAULT_NAME"}  # an output of an earlier run
    with_default = set(re.findall(r"\$\{([A-Z_]+)=", parameters)) - {"AZURE_PRINCIPAL_ID"}  # azd knows who signs in
    given = set(re.findall(r"^ {6}([A-Z_]+): ", read(".github/workflows/deploy.yml"), re.MULTILINE))
    assert needed | with_default <= given
    assert needed <= set(re.findall(r"[A-Z_]{6,}", read("docs/deploy.md"))) | {"AZURE_ENV_NAME", "RUNBOOK_URL"}


def test_the_image_and_the_package_hold_every_part_of_the_app() -> None:
    image = read("Dockerfile")
    copied = {name for line in re.findall(r"^COPY (.+) \S+$", image, re.MULTILINE) for name in line.split()}
    assert [name for name in sorted(copied) if not (ROOT / name).exists()] == []
    left_out = set(read(".funcignore").split())
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - left_out
    assert packages == {name for name in copied if (ROOT / name).is_dir()}


def test_both_say_the_same_python() -> None:
    version = read(".python-version").strip()
    assert f":4-python{version}\n" in read("Dockerfile")
    assert json.loads(read(".devcontainer/devcontainer.json"))["image"].endswith(f"python:{version}")
    assert f"'{version}'" in (INFRA / "modules" / "app.bicep").read_text("utf-8")
