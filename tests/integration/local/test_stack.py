"""The local stack as a person uses it: started, described, stopped, nothing left behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from local.processes import ROOT
from local.stack import Stack, StackError, empty

pytestmark = pytest.mark.shares("stack")

UP = [sys.executable, "-m", "local", "up", "--data"]


@contextmanager
def up(data: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(  # noqa: S603 - our own program
        [*UP, data], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if "Ctrl-C stops everything" in line:
                    break
            else:
                pytest.fail("the stack ended before it was ready")
            yield process
        finally:
            process.kill()


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda s: s.name)
def test_nothing_is_left_running(number: signal.Signals, tmp_path: Path) -> None:
    with up(tmp_path) as process:
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 5  # Postgres, twice Azurite, the simulator, the host
        description: dict[str, Any] = json.loads((tmp_path / "stack.json").read_text())
        assert len(description["tenants"]) == 2
        process.send_signal(number)
        code = process.wait(120)
    _, alive = psutil.wait_procs(children, timeout=120)
    assert alive == []
    assert code == (-signal.SIGKILL if number is signal.SIGKILL else 0)


def test_a_second_one_on_the_same_directory_says_that_one_runs(stack: Stack) -> None:
    done = subprocess.run([*UP, stack.data], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own program
    assert done.returncode == 1
    assert "A stack already runs on" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    with pytest.raises(StackError, match="already runs"):
        empty(stack.data)


def test_the_operators_commands_find_the_stack(stack: Stack) -> None:
    tenant = stack.add_tenant("By command")
    by_us = ingest([sys.executable, "-m", "local", "ingest"], LOCAL_DATA=str(stack.data))
    by_shell = ingest(["sh", "-c", f'. {stack.data}/env && exec {sys.executable} -m ingest "$@"', "sh"])
    assert tenant.name in by_us
    assert by_us == by_shell


def ingest(command: list[str], **variables: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own program
        [*command, "tenants", "list"], cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_other_users_of_the_machine_read_nothing(stack: Stack) -> None:
    stack.admin.deliver(b"Subject: secret\r\n\r\n", [stack.identity.mailboxes[0]])
    open_to_others = [path for path in (stack.data, *stack.data.rglob("*")) if path.stat().st_mode & 0o077]
    assert open_to_others == []


def test_no_secret_is_on_a_command_line(stack: Stack) -> None:
    lines = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
    secrets = [stack.identity.client_secret, stack.postgres.owner_url, stack.postgres.app_url]
    assert len(lines) >= 5
    assert not [line for line in lines for secret in secrets if secret in line]


def test_core_tools_that_are_not_there_are_missed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = subprocess.run(  # noqa: S603 - our own program
        [*UP, tmp_path / "data", "--host", "func"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "func is not on the PATH" in done.stdout
    assert not (tmp_path / "data").exists()


def test_the_app_has_no_special_rights_in_the_database(stack: Stack) -> None:
    with psycopg.connect(stack.postgres.app_url) as connection:
        role = connection.execute(
            "SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        assert role == (False, False, False, False)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM dms_tenant")


def test_postgres_comes_back_at_the_same_address_after_a_crash(stack: Stack) -> None:
    tenant = stack.add_tenant("Survivor")
    stack.postgres.kill()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(stack.postgres.owner_url)
    stack.postgres.start()
    with psycopg.connect(stack.postgres.owner_url) as connection:
        found = connection.execute("SELECT ingest_token FROM dms_tenant WHERE name = %s", [tenant.name]).fetchone()
    assert found == (tenant.token,)


def test_a_tenant_of_an_earlier_run_is_taken_again(stack: Stack) -> None:
    assert stack.add_tenant("Once") == stack.add_tenant("Once")
