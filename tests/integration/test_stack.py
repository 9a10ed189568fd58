"""The local stack as a person uses it: started, described, stopped, nothing left behind."""

import json
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
from local.stack import Stack

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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda s: s.name)
def test_nothing_is_left_running(number: signal.Signals, tmp_path: Path) -> None:
    with up(tmp_path) as process:
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 5  # Postgres, twice Azurite, the simulator, the host
        description: dict[str, Any] = json.loads((tmp_path / "stack.json").read_text())
        assert len(description["tenants"]) == 2
        process.send_signal(number)
        code = process.wait(60)
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []
    assert code == (-signal.SIGKILL if number is signal.SIGKILL else 0)


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


def test_the_app_is_nobody_special_in_the_database(stack: Stack) -> None:
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
