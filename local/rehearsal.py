"""`python -m local rehearse`: a DMS made by Django that has not moved over yet, and the stack around it.

Each step of docs/dms-integration.md can be done by hand on it: the database has Django's tables and nothing of this
app, and three logins: the owner, the DMS's and the app's. The app starts as soon as its login has its rights.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from local.postgres import APP_LOGIN, DMS_LOGIN, Postgres
from local.processes import ROOT
from local.stack import Stack, StackError

_PROJECT = ROOT / "local" / "dms"
_PAUSE = 0.5  # seconds between looks at the database

STEPS = f"""
The DMS runs on its old accounts. In another terminal, in this folder, with .venv/bin on the PATH:

  . {{data}}/env      addresses and passwords, for each command below
Step 2, prepare the database:
  python -m local ingest migrate --keep-mail-accounts
Step 3, give the roles; the app starts here as soon as it has its rights:
  python -m local sql 'GRANT ingest_app TO {APP_LOGIN}; GRANT ingest_reader TO {DMS_LOGIN}'
Step 4:
  python -m local ingest doctor
Step 5, release the DMS: {{data}}/dms is its Django project, to change with docs/examples
  cd {{data}}/dms && python manage.py shell      as the DMS's login; migrations as the owner:
  DMS_DATABASE_URL=$INGEST_OWNER_DATABASE_URL python manage.py migrate
Step 7, drop the accounts; until step 1 is done, dms_mailrule points at them:
  python -m local ingest migrate

Mails: over SMTP to {{smtp}}; `python -m local ingest tenants list` has the tenants.
"""


def lay_out(data: Path) -> Stack:
    """Lay out a stack with the DMS in the place of this app's schema; its Django project is copied to `data`/dms."""
    shutil.copytree(_PROJECT, data / "dms", ignore=shutil.ignore_patterns("__pycache__"))
    return Stack(data, hosts=0, prepare=lambda postgres: _prepare(postgres, data / "dms"))


def start_app(stack: Stack, ended: Callable[[], str | None]) -> None:
    """Wait until the app's login has the rights of `ingest_app`; then start a host, which subscribes.

    Raises StackError where a part of the stack ends meanwhile.
    """
    while not _has_rights(stack.postgres):
        if (part := ended()) is not None:
            raise StackError(f"{part} ended by itself; its log is in {stack.data}.")
        time.sleep(_PAUSE)
    stack.add_host().start()
    stack.subscribe()


def _prepare(postgres: Postgres, project: Path) -> None:
    environment = os.environ | {"DMS_DATABASE_URL": postgres.owner_url, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"], cwd=project, env=environment, check=True
    )
    postgres.add_login(APP_LOGIN)
    postgres.add_login(DMS_LOGIN)
    with psycopg.connect(postgres.owner_url) as connection:
        connection.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {DMS_LOGIN}")
        connection.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {DMS_LOGIN}")
        connection.execute(_ROWS)


_ROWS = """
INSERT INTO dms_tenant (name, slug, is_active, created_at) VALUES
    ('Tischlerei Südhang', 'suedhang', true, now()),
    ('Nordlicht GmbH', 'nordlicht', true, now()),
    ('Baustoffe Brandt', 'brandt', false, now());
INSERT INTO dms_emailconfig (tenant_id, host, username, password)
    SELECT id, 'imap.example', slug, 'secret' FROM dms_tenant;
INSERT INTO dms_mailrule (tenant_id, config_id, keyword)
    SELECT tenant_id, id, 'Rechnung' FROM dms_emailconfig WHERE username = 'suedhang';
"""


def _has_rights(postgres: Postgres) -> bool:
    known = "SELECT FROM pg_roles WHERE rolname = 'ingest_app' AND pg_has_role(%s, oid, 'member')"
    with psycopg.connect(postgres.owner_url) as connection:
        return connection.execute(known, [APP_LOGIN]).fetchone() is not None
