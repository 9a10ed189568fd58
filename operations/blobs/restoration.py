"""Lost blobs, stored again from the mails that are still in their mailbox.

A recorded content is found in the mail by its hash, and stored under the name on record. Exchange generates a mail's
MIME anew for each read: an original of other bytes gets a name of its own, and the record names the new original then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import LiteralString

from ingest.documents.budget import Budget
from ingest.documents.spool import Spool
from ingest.errors import MimeUnavailable, NotFound
from ingest.filing import MAX_METADATA_NAME, FilingOptions, derive_parts
from ingest.model.blob import StoredBlob
from ingest.model.message import OriginalForm, Scope
from ingest.model.message_ref import MessageRef, Trigger
from ingest.original import MimeOriginal, message_of, read_header
from ingest.ports import UPLOAD_BLOCK, Mail
from ingest.settings import BodyMode
from ingest.storage.blobs import BlobStore
from operations.audit import Account, record_action
from operations.blobs.derivation import COPIES, MEET_VERDICTS, Copy
from operations.blobs.verification import CheckedBlob, Damage
from operations.database import connect, connect_alone, rows_as

_CONTENTS: LiteralString = """
select blob_name as name, sha256 from ingest.part where message_id = %(message)s and blob_name is not null
"""
_OPEN: LiteralString = "select ingest.open_tenant(%(tenant)s)"
# Retention is deleting the copy: its blobs are missing by right.
_ENDING: LiteralString = "select ending from ingest.message where id = %(message)s"
# In the order of all functions: messages by id, the rows below, and the record of actions last.
_LOCK: LiteralString = """
select id from ingest.message where %(message)s in (id, duplicate_of) order by id for update
"""
# The parts keep their names below the former hash: a verdict on such a name finds the copy by this row.
_FORMER_ORIGINAL: LiteralString = """
insert into ingest.former_original (tenant_id, sha256, message_id)
select tenant_id, sha256, id from ingest.message where id = %(message)s
on conflict do nothing
"""
# A linked copy names the blobs of its first copy.
_NEW_ORIGINAL: LiteralString = """
update ingest.message set blob_name = %(name)s, size = %(size)s, sha256 = %(sha256)s
where %(message)s in (id, duplicate_of)
"""
# A mail without another document is a document itself.
_NEW_PART: LiteralString = """
update ingest.part set blob_name = %(name)s, size = %(size)s, sha256 = %(sha256)s
where message_id = %(message)s and blob_name = %(old)s
"""
_NEW_DOCUMENT: LiteralString = """
update ingest.document set blob_name = %(name)s, size = %(size)s, sha256 = %(sha256)s
where message_id = %(message)s and blob_name = %(old)s
"""
_WITHHOLD: LiteralString = "select ingest.withhold_known(%(message)s)"
# A scanner that found no blob has given the verdict up.
_AWAIT_SCAN: LiteralString = """
with restored as (
    select distinct blob_name, container, tenant_id from ingest.document
    where message_id = %(message)s and blob_name = any (%(stored)s)
), unscanned as (
    insert into ingest.scan (blob_name, container, tenant_id, verdict)
    select blob_name, container, tenant_id, 'not_scanned' from restored
    on conflict do nothing
)
insert into ingest.scan_due (blob_name, container, tenant_id)
select blob_name, container, tenant_id from restored
where not exists (
    select from ingest.scan
    where scan.blob_name = restored.blob_name and scan.container = restored.container
        and scan.verdict in ('clean', 'malicious')
)
on conflict (blob_name, container) do update set next_look_at = now(), looks = 0
"""
# The DMS has seen the former bytes, and not these.
_HIDE: LiteralString = """
insert into ingest.withheld (document_id, tenant_id, reason)
select document.id, document.tenant_id, 'not_scanned'
from ingest.document join ingest.scan using (blob_name, container)
where document.message_id = %(message)s and document.blob_name = %(name)s
    and scan.verdict not in ('clean', 'malicious')
on conflict do nothing
"""
# A look for a verdict that is due goes to the new blob.
_NEW_SCAN_DUE: LiteralString = """
update ingest.scan_due set blob_name = %(name)s where blob_name = %(old)s and container = %(container)s
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """The end of one copy: the blobs that were stored again, and those that are still missing, by name.

    `other_bytes`: Exchange gave another original, and the record names the new one. `problem`: the reason for which
    nothing was stored.
    """

    number: int
    stored: Sequence[str] = ()
    missing: Sequence[str] = ()
    other_bytes: bool = False
    problem: str | None = None


@dataclass(kw_only=True, slots=True)
class _Work:
    """One copy at work: the missing blobs and their hashes, and those that were stored."""

    copy: Copy
    missing: dict[str, str]
    container: BlobStore
    stored: list[str] = field(default_factory=list)

    def store(self, name: str, content: Spool, metadata: Mapping[str, str]) -> None:
        short = {key: value[:MAX_METADATA_NAME] for key, value in metadata.items()}
        blocks = content.upload(UPLOAD_BLOCK)
        self.container.store(name, blocks, size=content.size, sha256=content.sha256, metadata=short)
        self.stored.append(name)


class Restoration:
    """The restoring of blobs. Needs the rights of the tables' owner. Every call may raise OperatorError and Later."""

    def __init__(
        self,
        database_url: str,
        *,
        mail: Mail,
        container: Callable[[str], BlobStore],
        options: FilingOptions,
        scan: bool | None = None,
    ) -> None:
        """`container` opens a container by its name.

        `scan`: None where no scanner for malware gets the stored documents, else whether the DMS sees new bytes only
        after that.
        """
        self._scan = scan
        self._url = database_url
        self._mail = mail
        self._container = container
        self._options = replace(options, body=BodyMode.ALWAYS)  # a body on record is looked for, too

    def restore(self, checked: Iterator[CheckedBlob], account: Account) -> Iterator[Restored]:
        """Yield the end of each copy that lacks one of these blobs. Blobs that are there stay as they are."""
        with connect_alone(self._url):
            lost: dict[int, set[str]] = {}
            for one in checked:
                if one.damage is Damage.MISSING:
                    lost.setdefault(one.blob.number, set()).add(one.blob.name)
            for number, names in lost.items():
                for work in self._works(number, names):
                    yield self._restore(work, account)

    def _works(self, number: int, names: set[str]) -> Iterator[_Work]:
        with connect(self._url) as connection:
            for copy in rows_as(connection, Copy, COPIES, {"number": number}):
                rows = connection.execute(_CONTENTS, {"message": copy.id}).fetchall()
                contents = {row["name"]: row["sha256"] for row in rows} | {copy.blob_name: copy.sha256}
                missing = {name: sha256 for name, sha256 in contents.items() if name in names}
                ending = connection.execute(_ENDING, {"message": copy.id}).fetchone()
                if missing and ending is not None and not ending["ending"]:
                    yield _Work(copy=copy, missing=missing, container=self._container(copy.container))

    def _restore(self, work: _Work, account: Account) -> Restored:
        copy = work.copy
        if copy.original != OriginalForm.MIME:
            return _unsolved(work, "Exchange had no MIME of the mail")
        ref = MessageRef(mailbox=copy.mailbox, message_id=copy.message_id, trigger=Trigger.OPERATOR)
        with Spool() as spool:
            try:
                if copy.blob_name in work.missing:
                    with self._mail.original(ref, Scope.MAILBOX) as blocks:
                        spool.fill(blocks)
                else:
                    spool.fill(work.container.read(copy.blob_name))
                    if spool.sha256 != copy.sha256:
                        return _unsolved(work, "the original is not the one on record")
            except NotFound:
                return _unsolved(work, "the mail is not in the mailbox any more")
            except MimeUnavailable:
                return _unsolved(work, "Exchange gives no MIME of the mail")
            original = self._store_original(work, spool)
            self._store_parts(work, spool, original)
        other_bytes = original.sha256 != copy.sha256
        self._record(work, original, account)
        left = [name for name in work.missing if name not in work.stored and name != copy.blob_name]
        return Restored(number=copy.number, stored=work.stored, missing=left, other_bytes=other_bytes)

    def _store_original(self, work: _Work, spool: Spool) -> StoredBlob:
        copy = work.copy
        name = copy.blob_name
        if spool.sha256 != copy.sha256:  # as `Filing` names blobs: the hash of the original is a folder
            folder, _, file = copy.blob_name.rpartition("/")
            name = f"{folder.rpartition('/')[0]}/{spool.sha256}/{file}"
        if copy.blob_name in work.missing:
            work.store(name, spool, {})
        return StoredBlob(container=copy.container, name=name, size=spool.size, sha256=spool.sha256)

    def _store_parts(self, work: _Work, spool: Spool, original: StoredBlob) -> None:
        """Derive the parts as `Filing` does, and store each content that is missing under its name on record."""
        copy = work.copy
        names: dict[str, list[str]] = {}
        for name, sha256 in work.missing.items():
            if name != copy.blob_name:
                names.setdefault(sha256, []).append(name)

        def store(_path: tuple[int, ...], name: str, content: Spool) -> StoredBlob:
            for lost in names.pop(content.sha256, ()):
                work.store(lost, content, {"name": name})
            return StoredBlob(container=copy.container, name=name, size=content.size, sha256=content.sha256)

        headers, _ = read_header(spool.blocks())
        ref = MessageRef(mailbox=copy.mailbox, message_id=copy.message_id)
        message = message_of(ref, headers, copy.received_at)
        mail = MimeOriginal(message=message, headers=headers, spool=spool)
        derive_parts(mail, original, options=self._options, budget=Budget(self._options.limits), store=store)

    def _record(self, work: _Work, original: StoredBlob, account: Account) -> None:
        """Record the action, and in the same transaction an original of other bytes.

        The scanner may have found the new blob malicious before the record names the blob.
        """
        copy = work.copy
        details = {
            "tenant": str(copy.tenant_id),
            "blobs": len(work.stored),
            "other_original": original.sha256 != copy.sha256,
        }
        other_bytes = original.name != copy.blob_name
        steps = [_LOCK, _FORMER_ORIGINAL, _NEW_ORIGINAL] if other_bytes else [_LOCK]
        steps.append(MEET_VERDICTS)
        if other_bytes:
            steps += [_NEW_PART, _NEW_DOCUMENT, _NEW_SCAN_DUE, _WITHHOLD]
        if self._scan is not None:
            steps.append(_AWAIT_SCAN)
        if self._scan and other_bytes:
            steps.append(_HIDE)
        new = {"message": copy.id, "container": copy.container, "old": copy.blob_name, "stored": work.stored}
        new |= {"name": original.name, "size": original.size, "sha256": original.sha256}
        with connect(self._url) as connection:
            connection.execute(_OPEN, {"tenant": copy.tenant_id})
            for statement in steps:
                connection.execute(statement, new)
            record_action(connection, "message.restore", f"message {copy.number}", account, details=details)


def _unsolved(work: _Work, problem: str) -> Restored:
    return Restored(number=work.copy.number, missing=list(work.missing), problem=problem)
