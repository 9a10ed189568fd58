"""A DMS made by real Django moves over: its team follows docs/dms-integration.md, with the files given there."""

from __future__ import annotations

import hashlib
import json
import os
import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from console.language import texts
from ingest.codes import HeldReason, Reason
from ingest.model.claim import Claim, ClaimState
from ingest.model.message import Authentication
from ingest.model.tenant import Tenant
from operations.schema.migrations import MigrationError, drop_mail_accounts, migrate
from tests.fakes import values
from tests.integration.databases import OWNER, Database, Server
from tests.integration.stores import blob, document, store_of

pytestmark = [pytest.mark.shares("postgres"), pytest.mark.usefixtures("unmeasured")]

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "docs" / "examples"


class Dms:
    """Django in processes of its own: once in the version of before the switch, once in that of after."""

    def __init__(self, folder: Path, database: Database, key: str) -> None:
        self._environment = {
            **os.environ,
            "DMS_ID": key,
            "DMS_DATABASE_URL": database.owner_url,
            "DJANGO_SETTINGS_MODULE": "dms_settings",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self._before, self._after = folder / "before", folder / "after"
        for version in (self._before, self._after):
            shutil.copytree(HERE / f"dms_{version.name}", version)
            shutil.copy(HERE / "dms_settings.py", version)
        shutil.copy(EXAMPLES / "tenant.py", self._after / "dms" / "example_tenant.py")
        shutil.copy(EXAMPLES / "ingest_document.py", self._after / "dms" / "example_documents.py")
        shutil.copy(EXAMPLES / "take_over.py", self._after / "dms" / "example_take_over.py")
        shutil.copy(EXAMPLES / "mail_history.py", self._after / "dms" / "example_history.py")
        shutil.copy(EXAMPLES / "waiting_room.py", self._after / "dms" / "example_waiting_room.py")
        migration = (EXAMPLES / "central_mailbox.py").read_text(encoding="utf-8")
        (self._after / "dms" / "migrations" / "0003_central_mailbox.py").write_text(
            migration.replace("0041_your_last_migration", "0002_rules_without_accounts"), encoding="utf-8"
        )

    def before(self, action: str) -> None:
        self._run(self._before, action)
        for migration in (self._before / "dms" / "migrations").glob("0001*"):
            shutil.copy(migration, self._after / "dms" / "migrations")

    def after(self, action: str) -> str:
        return self._run(self._after, action)

    def _run(self, version: Path, action: str) -> str:
        done = subprocess.run(  # noqa: S603 - our own program and arguments
            [sys.executable, "-W", "error", "use.py", action],
            cwd=version,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.mark.parametrize("key", ["bigint", "uuid"])
def test_a_live_dms_moves_over(tmp_path: Path, server: Server, empty_database: Database, key: str) -> None:
    database = empty_database
    dms = Dms(tmp_path, database, key)
    dms.before("migrate")

    migrate(database.owner_url)
    # A foreign key still points at the accounts: the accounts stay, and the error names the key.
    with pytest.raises(MigrationError, match=r"foreign keys point at it: dms_mailrule \(dms_mailrule_config_id_"):
        drop_mail_accounts(database.owner_url)
    assert database.value("select count(*) from dms_emailconfig") == 300
    dms.before("insert")  # the code that runs meanwhile knows nothing of all this

    dms.after("prepare")
    said: list[str] = []
    drop_mail_accounts(database.owner_url, report=said.append)
    assert said == ["dms_emailconfig dropped: 300 mail account(s) and their credentials are gone from this database"]

    # A document comes in; who listens hears of it.
    (row,) = database.rows("select id, ingest_token from dms_tenant where slug = 'old-code'")
    tenant = Tenant(id=row["id"], proof=str(row["ingest_token"]))
    announced = runpy.run_path(str(EXAMPLES / "listen_for_documents.py"))["document_ids"](database.owner_url)
    assert next(announced) is None  # listening from here on
    with store_of(database) as store:
        claim = store.claims.claim(values.ref())
        assert isinstance(claim, Claim)
        with store.tenants.tenant_context(tenant):
            content = f"documents: {tenant.id}/abc".encode()  # as the blob of this name has it
            part = replace(document(tenant, "abc"), sha256=hashlib.sha256(content).hexdigest(), size=len(content))
            store.copies.save(claim, values.message(), blob(tenant, "abc"), [part], last=True)
        rejected = store.claims.claim(values.ref(message_id="AAk-rejected"))
        assert isinstance(rejected, Claim)
        with store.tenants.tenant_context(tenant):
            store.rejections.reject(rejected, Reason.UNREADABLE, values.message(subject="Kaputt"))
        store.claims.end(rejected, ClaimState.QUARANTINED, reason=Reason.UNREADABLE)
    document_id = next(announced)
    announced.close()

    with server.membership("ingest_reader", OWNER):  # as whom this DMS signs in
        seen = json.loads(dms.after("switch"))
    assert seen["sql"] == ["BEGIN;", "COMMIT;"]  # Django's own migration changes nothing in the database
    assert seen["tenants"] == 1_001  # a thousand, one by old code, one by new code, one deleted
    assert seen["tokens"] == 1_001  # all different
    assert len(seen["created"]) == 32
    assert seen["address"] == f"upload.{seen['created']}@dms.cloud"
    assert seen["renamed"] == "Saved with the token of before"
    assert seen["rotation_stands"]
    assert seen["documents"] == [["old-code", "abc.pdf", document_id, part.sha256, values.message().subject, None]]
    assert seen["history"] == [
        [values.message().subject, "stored", 1, None],
        ["Kaputt", "quarantined", 0, texts("de")["tenant_history.reason.unreadable"]],
    ]
    assert seen["taken_over"] == [1, [], {document_id: content.decode()}]

    _a_user_lets_a_sender_in(dms, database, server, tenant)


def _a_user_lets_a_sender_in(dms: Dms, database: Database, server: Server, tenant: Tenant) -> None:
    """A mail of a sender that is not on the tenant's list waits, until a user of the tenant approves in the DMS."""
    database.run(f"select ingest.set_sender_mode('{tenant.id}', '', 'hold', 'asked', '')")
    with store_of(database) as store:
        claim = store.claims.claim(values.ref(message_id="AAk-waits"))
        assert isinstance(claim, Claim)
        mail = replace(
            values.message(of=claim.ref),
            authentication=Authentication(sender_address="billing@supplier.example", sender_proven=True),
        )
        with store.tenants.tenant_context(tenant):
            saved = store.copies.save(claim, mail, blob(tenant, "held"), [document(tenant, "held")], last=True)
    assert saved.held is HeldReason.SENDER_UNKNOWN
    with server.membership("ingest_reader", OWNER):
        decided = json.loads(dms.after("decide"))
    assert decided["before"] == ["abc.pdf"]
    assert decided["waiting"] == [["billing@supplier.example", "sender_unknown", True]]
    assert decided["of_another_tenant"] == "the tenant has no such mail that waits"
    assert decided["documents"] == 1
    assert decided["after"] == ["abc.pdf", "held.pdf"]
    assert decided["still_waiting"] == []
    assert decided["list"] == ["billing@supplier.example"]
