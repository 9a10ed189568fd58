"""infra/examine.sh with stand-ins for az, curl, psql and sleep: requests, lines and exit codes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

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
    "az": f'case "$*" in *masterKey*) echo {KEY} ;; *) echo entra-token ;; esac',
    "curl": 'echo "curl $*" >> "$DONE"; cat >> "$DONE"',
    "sleep": 'echo "sleep $*" >> "$DONE"',
    "psql": """[ "$PGPASSWORD" = entra-token ] || exit 2
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


def test_without_a_database_of_its_own_the_script_says_where_to_look(tmp_path: Path) -> None:
    run, done = examine(tmp_path, DATABASE_HOST="")
    assert (run.returncode, done) == (0, [])
    assert "doctor.checked" in run.stdout
