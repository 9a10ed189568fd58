"""Rules of every command: a help text with examples, exit codes, one clear line on errors, output for scripts."""

from __future__ import annotations

import csv
import io
import json
import pkgutil
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from typer.main import get_command

from commands import context, output
from commands.app import app, run
from ingest.errors import OperatorError
from ingest.settings import AddressSettings
from operations.tenants.records import Tenants
from operations.tenants.upload_addresses import UploadAddresses
from tests.fakes.command_line import Done
from tests.fakes.values import ENVIRONMENT


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["ingest", *arguments])
        try:
            code = run()
        except SystemExit as ended:
            code = int(ended.code or 0)
        captured = capsys.readouterr()
        return Done(code=code, out=captured.out, err=captured.err)

    return call


def commands() -> Iterator[tuple[str, ...]]:
    def walk(command: object, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        below = getattr(command, "commands", None)
        if below is None:
            yield path
            return
        for name, one in below.items():
            yield from walk(one, (*path, name))

    return walk(get_command(app), ())


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_every_command_has_a_help_text_with_an_example(cli: Callable[..., Done], path: tuple[str, ...]) -> None:
    done = cli(*path, "--help")
    assert done.code == 0
    assert f"\n    python -m ingest {' '.join(path)}" in done.out
    assert "Example" in done.out


@pytest.mark.parametrize("group", sorted({path[:-1] for path in commands()}), ids=" ".join)
def test_a_list_of_commands_has_each_first_sentence_whole(cli: Callable[..., Done], group: tuple[str, ...]) -> None:
    _, _, listed = cli(*group, "--help").out.partition("Commands:")
    assert [line for line in listed.splitlines() if line.endswith("...")] == []


def test_no_documented_command_is_missing() -> None:
    assert {
        "migrate",
        "doctor",
        "sweep",
        *(f"tenants {name}" for name in ("list", "show", "add", "rotate", "disable", "enable")),
        *(f"tenants address {name}" for name in ("print", "list", "add", "purpose", "rotate", "remove")),
        *(f"tenants senders {name}" for name in ("list", "add", "remove", "import", "mode", "waiting")),
        *(f"tenants senders {name}" for name in ("approve", "decline")),
        *(f"messages {name}" for name in ("list", "show")),
        *(f"quarantine {name}" for name in ("list", "release", "assign")),
        *(f"subscriptions {name}" for name in ("list", "renew", "delete")),
    } <= {" ".join(path) for path in commands()}


def test_what_is_not_a_command_ends_with_2(cli: Callable[..., Done]) -> None:
    assert cli("tenant").code == 2
    assert cli("messages", "list", "--state", "lost").code == 2
    assert cli("messages", "show").code == 2


def test_the_version_is_that_of_the_project_from_each_directory(
    cli: Callable[..., Done], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project = tomllib.loads(Path(context.__file__).parents[1].joinpath("pyproject.toml").read_text(encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    assert cli("--version") == Done(code=0, out=f"{project['project']['version']}\n", err="")


def test_the_console_script_is_the_same_program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tomllib.loads(Path(context.__file__).parents[1].joinpath("pyproject.toml").read_text(encoding="utf-8"))
    monkeypatch.setattr(sys, "argv", ["mail-ingest", "tenant"])
    with pytest.raises(SystemExit) as ended:
        pkgutil.resolve_name(project["project"]["scripts"]["mail-ingest"])()
    assert ended.value.code == 2
    assert "No such command 'tenant'" in capsys.readouterr().err


def test_missing_settings_are_all_named_at_once(cli: Callable[..., Done]) -> None:
    done = cli("sweep")
    assert done.code == 1
    assert done.err.startswith("Error: ")
    for name in ("AZURE_INGEST_CLIENT_ID", "AZURE_INGEST_MAILBOX", "INGEST_DATABASE_URL", "INGEST_CLIENT_STATE"):
        assert name in done.err
    assert "Traceback" not in done.err


def test_a_defect_is_one_line_without_a_stack_trace(cli: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret-in-a-text")

    monkeypatch.setenv("INGEST_DATABASE_URL", "postgresql://x@localhost/z")
    monkeypatch.setenv("INGEST_ADDRESS_DOMAINS", "dms.cloud")
    monkeypatch.setattr(Tenants, "show", broken)
    done = cli("tenants", "address", "42")
    assert done.code == 1
    assert len(done.err.splitlines()) == 1
    assert "Traceback" not in done.err
    assert "secret-in-a-text" not in done.err


def test_an_owner_url_of_its_own_is_checked_too(cli: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGEST_DATABASE_URL", "postgresql://x@localhost/z")
    monkeypatch.setenv("INGEST_OWNER_DATABASE_URL", "mysql://x@y/z")
    done = cli("migrate")
    assert done.code == 1
    assert "INGEST_OWNER_DATABASE_URL must look like postgresql://" in done.err


# Output


def test_tables_do_not_let_a_strangers_text_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"subject": "[red]Rechnung[/]\x1b[2J\u202egpj.exe", "received_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)}
    output.print_rows([row], output.Form.TABLE, empty="")
    printed = capsys.readouterr().out
    assert "received at" in printed
    assert "[red]Rechnung[/]\ufffd[2J\ufffdgpj.exe" in printed
    assert "2026-01-02 03:04:05Z" in printed


def test_json_is_whole_and_plain(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"id": 1, "at": datetime(2026, 1, 2, tzinfo=UTC), "none": None, "many": ("a", 2), "ok": True}
    output.print_rows([row], output.Form.JSON, empty="", limit=1)
    captured = capsys.readouterr()
    assert json.loads(captured.out) == [
        {"id": 1, "at": "2026-01-02T00:00:00+00:00", "none": None, "many": ["a", 2], "ok": True}
    ]
    assert "Only the first 1 are shown" in captured.err


@pytest.mark.parametrize(
    "character", ["\x1b", "\x9b", "\x85", "\u202e", "\u2066", "\u200f", "\u2028", "\ufeff", "\x7f"]
)
def test_no_output_turns_the_direction_or_steers_a_terminal(capsys: pytest.CaptureFixture[str], character: str) -> None:
    row = {"subject": f"a{character}b", "many": [f"c{character}"]}
    output.print_rows([row], output.Form.JSON, empty="")
    output.print_record(row, as_json=True)
    both = capsys.readouterr().out
    output.print_rows([row], output.Form.TABLE, empty="")
    output.print_record(row, as_json=False)
    assert character not in both + capsys.readouterr().out
    assert json.loads(both.split("\n]\n")[0] + "\n]") == [row]


def test_a_text_of_a_command_keeps_its_lines_and_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.say("deleted \x1b[2J\x9b\u202efdp.exe\nreleased: 1")
    output.say("failed: \x85", err=True)
    assert capsys.readouterr() == ("deleted \ufffd[2J\ufffd\ufffdfdp.exe\nreleased: 1\n", "failed: \ufffd\n")


def test_no_command_prints_a_text_past_the_function_that_makes_it_harmless() -> None:
    for module in Path(output.__file__).parent.glob("*.py"):
        if module.name != "output.py":
            assert not re.search(r"\becho\(|\bprint\(|std(?:out|err)\.write", module.read_text(encoding="utf-8")), (
                module
            )


def test_nothing_is_said_in_words_or_as_an_empty_list(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_rows([], output.Form.TABLE, empty="No messages.")
    output.print_rows([], output.Form.JSON, empty="No messages.")
    assert capsys.readouterr().out == "No messages.\n[]\n"


@given(text=st.text())
@example("=HYPERLINK(1)")
@example("\t=1")
@example("\uff1d1")
def test_no_text_in_a_csv_is_a_formula_or_steers_a_terminal(text: str) -> None:
    row = {"subject": text, "many": [text], "size": -1, "at": datetime(2026, 1, 2, tzinfo=UTC), "none": None}
    heading, values = csv.reader(io.StringIO(output.csv_of([row])))
    assert heading == list(row)
    subject, many, size, at, none = values
    assert (size, at, none) == ("-1", "2026-01-02T00:00:00+00:00", "")  # a number stays a number
    assert not subject.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"))
    assert subject.removeprefix("'") == output.shown(text).removeprefix("'")
    assert many.startswith("[")
    assert all(character.isprintable() for character in subject + many)


def test_nothing_is_an_empty_csv_and_two_forms_are_refused() -> None:
    assert output.csv_of([]) == ""
    with pytest.raises(OperatorError, match="--json or --csv"):
        output.form_of(as_json=True, as_csv=True)


@pytest.mark.parametrize(
    ("text", "duration"),
    [("30d", timedelta(days=30)), ("12H", timedelta(hours=12)), ("45m", timedelta(minutes=45)), ("0", timedelta(0))],
)
def test_a_duration_is_read_with_its_unit(text: str, duration: timedelta) -> None:
    assert context.duration(text) == duration


@pytest.mark.parametrize("text", ["", "-1d", "1w", "1.5h", "soon"])
def test_a_text_that_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(OperatorError, match="is no duration: write 30d"):
        context.duration(text)


# Addresses


def addresses(**environment: str) -> UploadAddresses:
    return UploadAddresses(AddressSettings.from_env(environment))


def test_an_address_is_made_from_its_token_and_read_back() -> None:
    ours = addresses(INGEST_ADDRESS_DOMAINS="dms.cloud,other.example")
    assert ours.address("0A1B2C3D4E5F6071") == "upload.0a1b2c3d4e5f6071@dms.cloud"
    assert ours.address("0a1b2c3d-4e5f-6071") == "upload.0a1b2c3d-4e5f-6071@dms.cloud"
    assert ours.token("Upload+0A1B2C3D-4E5F-6071@other.example") == "0a1b2c3d4e5f6071"
    assert ours.token("info@dms.cloud") is None


def test_an_address_with_an_optional_token_may_name_none() -> None:
    optional = {"INGEST_ADDRESS_PATTERN": r"^upload(\.(?P<token>\w+))?@", "INGEST_ADDRESS_DOMAINS": "dms.cloud"}
    assert addresses(**optional).token("upload@dms.cloud") is None


def test_without_domains_the_mailbox_has_one() -> None:
    assert addresses(AZURE_INGEST_MAILBOX="upload@dms.cloud").address("0a1b2c3d4e5f6071").endswith("@dms.cloud")


def test_a_pattern_of_ones_own_decides_on_the_form() -> None:
    only_plus = {"INGEST_ADDRESS_PATTERN": r"^upload\+(?P<token>\w+)@", "INGEST_ADDRESS_DOMAINS": "dms.cloud"}
    assert addresses(**only_plus).address("abcdef0123456789") == "upload+abcdef0123456789@dms.cloud"
    other = {"INGEST_ADDRESS_PATTERN": r"^(?P<token>\w+)@in\.", "INGEST_ADDRESS_DOMAINS": "in.dms.cloud"}
    with pytest.raises(OperatorError, match="write the address as your pattern wants it"):
        addresses(**other).address("abcdef0123456789")


@pytest.mark.parametrize("also", [("4711",), ("--all",), ("--derive",)])
def test_unrecorded_blobs_are_those_of_the_whole_container(cli: Callable[..., Done], also: tuple[str, ...]) -> None:
    done = cli("messages", "verify", "--unrecorded", *also)
    assert (done.code, "whole container" in done.err) == (1, True)
