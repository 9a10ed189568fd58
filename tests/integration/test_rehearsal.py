"""Every step of the hand-over, rehearsed on a DMS made by Django: docs/dms-integration.md, "Moving over"."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from local.environment import NAME, read_environment
from local.postgres import APP_LOGIN, DMS_LOGIN
from local.processes import ROOT
from local.rehearsal import lay_out, start_app
from local.stack import Stack
from local.tenants import upload_address

INVOICE = b"Subject: Rechnung\r\nTo: %b\r\nContent-Type: application/pdf; name=r.pdf\r\n\r\n%%PDF-1.4\r\n"


@pytest.fixture(scope="module")
def stack(unmeasured: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:  # noqa: ARG001 - for its effect
    with lay_out(tmp_path_factory.mktemp("rehearsal")) as stack:
        yield stack


def run(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local", *arguments]
    environment = read_environment(stack.data / NAME)
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own program


def done(stack: Stack, *arguments: str) -> str:
    result = run(stack, *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_the_project_of_the_dms_has_no_pending_migration(stack: Stack) -> None:
    shutil.rmtree(stack.data / "dms" / "dms" / "__pycache__", ignore_errors=True)
    check = subprocess.run(
        [sys.executable, "manage.py", "makemigrations", "--check"],
        cwd=stack.data / "dms",
        env=read_environment(stack.data / NAME),
        capture_output=True,
        text=True,
        check=False,
    )
    assert check.returncode == 0, check.stdout + check.stderr


def test_a_dms_moves_over_step_by_step(stack: Stack) -> None:
    with psycopg.connect(stack.postgres.dms_url) as dms:
        assert dms.execute("select count(*) from dms_emailconfig").fetchone() == (3,)
        assert dms.execute("select to_regnamespace('ingest')").fetchone() == (None,)

    done(stack, "ingest", "migrate", "--keep-mail-accounts")
    grants = f"GRANT ingest_app TO {APP_LOGIN}; GRANT ingest_reader TO {DMS_LOGIN}"
    with ThreadPoolExecutor(1) as beside:  # the host is a child of this thread, and ends with it
        granted = beside.submit(done, stack, "sql", grants)
        start_app(stack, stack.ended)
        granted.result()

    token = done(stack, "sql", "SELECT ingest_token FROM dms_tenant WHERE slug = 'suedhang'").split()[0]
    address = upload_address(token)
    (mail,) = stack.admin.deliver(INVOICE % address.encode(), [address])
    stack.wait_for_end(mail.id, "deleted")
    with psycopg.connect(stack.postgres.dms_url) as dms:
        assert dms.execute("select name from ingest.document").fetchall() == [("r.pdf",)]

    kept = run(stack, "ingest", "migrate")
    assert kept.returncode == 1
    assert "dms_mailrule" in kept.stderr
    done(stack, "sql", "DROP TABLE dms_mailrule")
    assert "3 mail account(s)" in done(stack, "ingest", "migrate")
