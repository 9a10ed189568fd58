"""Puts the app together: settings and adapters once a process, on first use.

SDKs are imported inside of functions and not at the top, so that an instance starts fast: a webhook handshake has ten
seconds, cold start included, and needs no SDK.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ingest import log
from ingest.errors import SettingsError
from ingest.settings import AnswerTransport, JunkMode, ScanHold, Scanner, Settings

if TYPE_CHECKING:  # these modules are heavy, and imported on first use
    from ingest.answers import OwnAddresses
    from ingest.documents.pdf.reader_pool import ReaderPool
    from ingest.filing import FilingOptions
    from ingest.graph.client import GraphClient, TokenSource
    from ingest.graph.mailbox import Mailboxes
    from ingest.pipeline import Pipeline
    from ingest.storage.backlog import Backlog
    from ingest.storage.blobs import BlobStore
    from ingest.storage.database import Database
    from ingest.storage.gate import MailboxGate
    from ingest.storage.tenants import Tenants
    from ingest.sweep import Sweep

_lock = Lock()


@dataclass(frozen=True, kw_only=True, slots=True)
class App:
    """The adapters and the story, built from one set of settings."""

    settings: Settings
    gate: MailboxGate
    graph: GraphClient
    mailboxes: Mailboxes
    blobs: BlobStore
    readers: ReaderPool
    database: Database
    tenants: Tenants
    backlog: Backlog
    pipeline: Pipeline
    sweep: Sweep

    def close(self) -> None:
        """Close every connection. For an app of a command or test; the running app lives as long as its process."""
        for adapter in (self.database, self.blobs, self.graph, self.gate, self.readers):
            adapter.close()


@cache
def settings() -> Settings:
    """Return the settings of this process. Raises SettingsError and logs it, each time until the settings are right."""
    try:
        return Settings.from_env(os.environ)
    except SettingsError as wrong:
        log.error("settings.wrong", cause=log.describe(wrong))
        raise


def app() -> App:
    """Return the one app of this process. Nothing is connected before its first use. Raises SettingsError."""
    with _lock:  # two invocations at once must not build two pools
        return _app()


@cache
def _app() -> App:
    return build(settings())


def credentials(settings: Settings) -> TokenSource:
    """Build the app's own identity: certificate or secret where one is set, else the managed identity.

    A managed identity that is not the client itself stands in for the client's secret, by a federated credential.
    """
    from ingest.graph.credentials import ClientCredentials
    from ingest.graph.identity import TOKEN_EXCHANGE, ManagedIdentity

    assertion = None
    identity = settings.managed_identity
    if identity is not None and settings.client_secret is None and settings.client_certificate is None:
        if identity == settings.client_id:
            return ManagedIdentity(client_id=identity, resource=_origin(settings.graph_base_url))
        assertion = ManagedIdentity(client_id=identity, resource=TOKEN_EXCHANGE).token
    return ClientCredentials(
        client_id=settings.client_id,
        tenant_id=settings.tenant_id,
        authority_host=settings.authority_host,
        graph_base_url=settings.graph_base_url,
        secret=settings.client_secret,
        certificate=settings.client_certificate,
        assertion=assertion,
    )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def blob_store(settings: Settings, container: str) -> BlobStore:
    """Build the store of a container in the settings' storage account. The caller closes the store."""
    from ingest.storage.blobs import BlobStore

    return BlobStore.connect(
        container=container, connection_string=settings.storage_connection, account_url=settings.storage_url
    )


def filing_options(settings: Settings, readers: ReaderPool) -> FilingOptions:
    """Return the rules by which this app files mails, with PDFs read by `readers`."""
    from ingest.documents.blocked_types import Blocking
    from ingest.filing import FilingOptions

    return FilingOptions(
        limits=settings.limits,
        body=settings.body,
        read_objects=readers.read,
        blocking=Blocking(added=settings.blocked_extensions, allowed=settings.allowed_extensions),
    )


def own_addresses(settings: Settings) -> OwnAddresses | None:
    """Return our own addresses, which get no answers; None where no sender gets one."""
    from ingest.answers import OwnAddresses
    from ingest.routing import token_of

    if settings.answers is AnswerTransport.OFF:
        return None
    return OwnAddresses(
        addresses=frozenset((*settings.mailboxes, settings.answer_from)),
        domains=settings.address_domains,
        is_upload=lambda address: token_of(address, settings.address_pattern) is not None,
    )


def build(settings: Settings) -> App:
    """Build an app for these settings."""
    from ingest.documents.pdf.reader_pool import ReaderPool
    from ingest.graph.client import GraphClient
    from ingest.graph.mailbox import Mailboxes
    from ingest.pipeline import Pipeline
    from ingest.routing import Addressing
    from ingest.storage.backlog import Backlog
    from ingest.storage.claims import Claims
    from ingest.storage.copies import Copies
    from ingest.storage.database import Database
    from ingest.storage.gate import MailboxGate
    from ingest.storage.rejections import Rejections
    from ingest.storage.tenants import Tenants
    from ingest.storage.turns import Turns
    from ingest.sweep import Sweep

    gate = MailboxGate(settings.database_url)
    graph = GraphClient(base_url=settings.graph_base_url, tokens=credentials(settings), gate=gate)
    mailboxes = Mailboxes(
        graph,
        quarantine_folder=settings.quarantine_folder,
        delete_mode=settings.delete_mode,
        sweep_scope=settings.sweep_scope,
    )
    blobs = blob_store(settings, settings.container)
    readers = ReaderPool()
    database = Database(settings.database_url)
    claims = Claims(database, lease_seconds=settings.lease_seconds, retry_seconds=settings.retry_seconds)
    tenants = Tenants(database, budget=settings.tenant_budget)
    backlog = Backlog(database, retry_seconds=settings.retry_seconds)
    pipeline = Pipeline(
        mail=mailboxes,
        blobs=blobs,
        claims=claims,
        tenants=tenants,
        copies=Copies(
            database,
            tenants,
            scanned=settings.scanner is not Scanner.OFF,
            hidden_until_clean=settings.scan_hold is ScanHold.UNTIL_CLEAN,
        ),
        turns=Turns(database, tenants),
        rejections=Rejections(database, tenants),
        addressing=Addressing(pattern=settings.address_pattern, domains=settings.address_domains, route=settings.route),
        filing=filing_options(settings, readers),
        authserv_id=settings.authserv_id,
        own=own_addresses(settings),
    )
    return App(
        settings=settings,
        gate=gate,
        graph=graph,
        mailboxes=mailboxes,
        blobs=blobs,
        readers=readers,
        database=database,
        tenants=tenants,
        backlog=backlog,
        pipeline=pipeline,
        sweep=Sweep(
            inbox=mailboxes,
            backlog=backlog,
            limit=settings.sweep_limit,
            junk=mailboxes if settings.sweep_junk is JunkMode.ALWAYS else None,
        ),
    )
