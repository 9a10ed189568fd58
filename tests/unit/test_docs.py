"""The documentation names what is there: settings, files, log events."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from commands.app import app as command_line
from ingest.telemetry.metrics import METRICS

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page for under in ("*.md", "docs/**/*.md", "infra/*.md", "local/*.md", "local/*/*.md") for page in ROOT.glob(under)
)
DECISIONS = sorted(set(ROOT.glob("docs/decisions/*.md")) - {ROOT / "docs/decisions/README.md"})
SET_BY_AZURE = {"WEBSITE_HOSTNAME"}
OF_APP_SERVICE = {"WEBSITE_AUTH_ENABLED", "WEBSITE_SITE_NAME"}
_SETTING = re.compile(r'"((?:AZURE|GRAPH|INGEST|WEBSITE)_[A-Za-z_]+)"')
_EVENT = re.compile(r'(?:log\.(?:info|warning|error)|_logged|event =)\(?\s*"([a-z_]+\.[a-z_]+)"(?: if|,|\))')
_ROW = re.compile(r"^\| `([A-Za-z_]+)` \|", re.MULTILINE)
_FOLDERS = "ingest|subscriptions|scanning|answers|checks|operations|commands|console|local|migrations|tests|bench|docs"
_PATH = re.compile(rf"`((?:{_FOLDERS})/[\w./-]*[\w/])`")
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#]*)(?:#([^)]+))?\)")
COMMANDS: Any = typer.main.get_command(command_line)
_COMMAND = re.compile(r"python -m ingest ([a-z][^`\n#|]*)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def settings_of_the_app() -> set[str]:
    return set(_SETTING.findall((ROOT / "ingest/settings.py").read_text()))


def settings_in_code() -> set[str]:
    return settings_of_the_app() | set(_SETTING.findall((ROOT / "operations/settings.py").read_text()))


def test_every_setting_that_a_module_names_is_read_by_the_settings() -> None:
    rooms = ("ingest", "subscriptions", "checks", "operations", "commands", "console")
    paths = [path for room in rooms for path in ROOT.glob(f"{room}/**/*.py")]
    named = {name for path in paths for name in _SETTING.findall(path.read_text())}
    assert named - SET_BY_AZURE <= settings_in_code() | OF_APP_SERVICE


def test_the_sample_has_every_setting_of_the_app() -> None:
    sample = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
    own = {name for name in sample if _SETTING.fullmatch(f'"{name}"')}
    assert own == settings_of_the_app() - SET_BY_AZURE


def test_the_page_on_settings_has_every_setting() -> None:
    page = (ROOT / "docs/settings.md").read_text()
    sample = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
    assert set(_ROW.findall(page)) == settings_in_code() | sample.keys()


def test_the_page_on_promises_has_every_metric() -> None:
    page = (ROOT / "docs/slo.md").read_text()
    rows = {tuple(cell.strip() for cell in row.split("|")[1:-1]) for row in page.splitlines() if row.startswith("| `")}
    assert rows == {
        (
            f"`{metric.name}`",
            metric.kind,
            metric.unit,
            ", ".join(f"`{name}`" for name in (*metric.attributes, *metric.fixed)),
            metric.says,
        )
        for metric in METRICS
    }


def log_events() -> set[str]:
    paths = [
        ROOT / "function_app.py",
        *ROOT.glob("ingest/**/*.py"),
        *ROOT.glob("subscriptions/**/*.py"),
        *ROOT.glob("scanning/**/*.py"),
        *ROOT.glob("answers/**/*.py"),
        *ROOT.glob("checks/**/*.py"),
    ]
    return {name for path in paths for name in _EVENT.findall(path.read_text())}


def test_the_page_on_reliability_has_every_log_event() -> None:
    page = (ROOT / "docs/reliability.md").read_text()
    table = page[page.index("| event | when |") : page.index("## The proof")]
    assert set(re.findall(r"`([a-z_]+\.[a-z_]+)`", table)) == log_events()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_files_that_exist(page: Path) -> None:
    assert [name for name in _PATH.findall(page.read_text()) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_leads_to_a_page_and_its_heading(page: Path) -> None:
    for path, heading in _LINK.findall(page.read_text()):
        target = page.parent / path if path else page
        assert target.exists(), f"{path} does not exist"
        assert not heading or heading in anchors(target), f"{path} has no heading #{heading}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_commands_as_they_are(page: Path) -> None:
    """A command without arguments is a mention; with arguments it has each option that it needs, and no other."""
    for written in _COMMAND.findall(page.read_text()):
        command, given = command_of(written)
        assert not given or not getattr(command, "commands", None) or command.name == "address", written  # of a tenant
        known = {option: parameter for parameter in command.params for option in parameter.opts}
        options = {word.partition("=")[0] for word in given if word.startswith("--")} - {"--help"}
        assert options <= known.keys(), written
        needed = {option for option, one in known.items() if one.required and option.startswith("--")}
        assert not given or needed <= options, written


def command_of(written: str) -> tuple[Any, list[str]]:
    """Return the command that a page names, and its arguments."""
    command: Any = COMMANDS
    words = shlex.split(written.rstrip(" \\.…"))
    while words and getattr(command, "commands", {}).get(words[0]):
        command = command.commands[words.pop(0)]
    return command, words


def test_the_page_on_architecture_names_every_module_of_the_story_and_every_room() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    modules = {path.stem for path in ROOT.glob("ingest/*.py")} | {
        path.parent.name for path in [*ROOT.glob("*/__init__.py"), *ROOT.glob("ingest/*/__init__.py")]
    }
    assert {name for name in modules if not re.search(rf"\b{name}\b", page)} - {"__init__", "__main__"} == set()


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_a_date_and_a_status_and_is_in_the_list(page: Path) -> None:
    title, _, status = page.read_text().splitlines()[:3]
    day, _, state = status.partition(" · ")
    assert re.match(r"\d{4}-\d\d-\d\d", day), "the third line begins with the date"
    last = re.findall(r"\d{4}-\d\d-\d\d", day)[-1]
    assert (
        f"| [{title.removeprefix('# ')}]({page.name}) | {last} | {state} |" in (page.parent / "README.md").read_text()
    )


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = _HEADING.findall(page.read_text())
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
