"""infra/examine.sh with stand-ins for az, curl, psql and sleep: requests, lines and exit codes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from infra.check import INFRA

KEY = "the-master-key"
OUTPUTS = {
    "AZURE_RESOURCE_GROUP": "rg",
    "AZURE_FUNCTION_NAME": "func",
    "NOTIFICATION_URL": "https://func.example",
    "DATABASE_HOST": "db.example",
    "DATABASE_NAME": "dms",
    "DATABASE_ADMIN_NAME": "pipeline",
}
# psql answers the question for the last finding with 7, and each other question with the next line of `findings`.
PROGRAMS = {
    "az": f'case "$*" in *masterKey*) echo {KEY} ;; *signed-in-user*) echo me@dms.cloud ;; *) echo entra-token ;; esac',
    "curl": 'echo "curl $*" >> "$DONE"; cat >> "$DONE"',
    "sleep": 'echo "sleep $*" >> "$DONE"',
    "psql": """[ "$PGPASSWORD" = entra-token ] || exit 2
echo "psql $PGUSER $1" >> "$DONE"
case "$*" in *max*) echo 7; exit ;; *"id > 7"*) ;; *) exit 2 ;; esac
line=$(head -n 1 "$FINDINGS"); sed -i 1d "$FINDINGS"; printf '%s' "$line" | tr ';' '\\n'""",
}


def examine(folder: Path, *findings: str, **changed: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run the script. `findings`: answers of the database, one for each look. Returns the run and what it called."""
    for name, body in PROGRAMS.items():
        program = folder / name
        program.write_text(f"#!/bin/sh\n{body}\n", "utf-8")
        program.chmod(0o755)
    (folder / "findings").write_text("".join(f"{one}\n" for one in findings), "utf-8")
    done = folder / "done"
    done.touch()
    environment = {
        **OUTPUTS,
        **changed,
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "DONE": str(done),
        "FINDINGS": str(folder / "findings"),
    }
    run = subprocess.run([INFRA / "examine.sh"], env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    return run, done.read_text("utf-8").splitlines()


def test_an_app_that_is_well_ends_with_zero(tmp_path: Path) -> None:
    run, done = examine(tmp_path, "", "ok settings;warning junk email")
    assert (run.returncode, run.stdout, run.stderr) == (0, "ok settings\nwarning junk email\n", "")
    (call,) = (line for line in done if line.startswith("curl"))
    assert call.endswith("https://func.example/admin/functions/examine")
    assert KEY not in call
    assert f"x-functions-key: {KEY}" in done
    assert KEY not in run.stdout


def test_a_check_that_fails_is_looked_at_again(tmp_path: Path) -> None:
    run, _ = examine(tmp_path, "ok settings;failed subscription", "ok settings;ok subscription")
    assert run.returncode == 0
    assert "failed subscription\n" in run.stdout
    assert run.stdout.endswith("ok subscription\n")


def test_a_check_that_stays_failed_ends_with_one(tmp_path: Path) -> None:
    run, done = examine(tmp_path, *["failed mailbox access"] * 4)
    assert run.returncode == 1
    assert sum(line.startswith("curl") for line in done) == 4


def test_an_examination_that_keeps_no_finding_ends_with_one(tmp_path: Path) -> None:
    run, _ = examine(tmp_path)
    assert (run.returncode, "doctor.not_recorded" in run.stdout) == (1, True)


def databases(done: list[str]) -> set[str]:
    """The login and the address of each question to the database."""
    return {line.removeprefix("psql ") for line in done if line.startswith("psql")}


def test_the_administrator_asks_the_database_of_the_deployment(tmp_path: Path) -> None:
    _, done = examine(tmp_path, "ok settings")
    assert databases(done) == {"pipeline postgresql://db.example/dms?sslmode=verify-full&sslrootcert=system"}


@pytest.mark.parametrize("login", ["id-mail-ingest@", ""])
def test_an_existing_database_is_asked_by_the_administrator_and_not_by_the_apps_login(
    tmp_path: Path, login: str
) -> None:
    url = f"postgresql://{login}old.example:5432/dms?sslmode=require"
    run, done = examine(tmp_path, "ok settings", DATABASE_HOST="", DATABASE_NAME="", EXISTING_DATABASE_URL=url)
    assert (run.returncode, run.stdout) == (0, "ok settings\n")
    assert databases(done) == {"pipeline postgresql://old.example:5432/dms?sslmode=require"}


def test_without_a_named_administrator_the_signed_in_person_asks(tmp_path: Path) -> None:
    _, done = examine(tmp_path, "ok settings", DATABASE_ADMIN_NAME="")
    assert {one.split()[0] for one in databases(done)} == {"me@dms.cloud"}


def test_a_failed_check_of_an_existing_database_ends_with_one(tmp_path: Path) -> None:
    url = "postgresql://id-mail-ingest@old.example/dms"
    run, _ = examine(tmp_path, *["failed queue"] * 4, DATABASE_HOST="", EXISTING_DATABASE_URL=url)
    assert run.returncode == 1


def test_without_any_database_nothing_was_examined_and_the_exit_code_says_so(tmp_path: Path) -> None:
    run, done = examine(tmp_path, DATABASE_HOST="")
    assert (run.returncode, done, run.stdout) == (2, [], "")
    assert "Nothing was examined" in run.stderr
