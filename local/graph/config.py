"""The configuration of the simulator."""

from dataclasses import dataclass, field
from pathlib import Path

from local.graph.clock import MINUTE


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Outlook's limits per app and mailbox; the defaults are Microsoft's.

    https://learn.microsoft.com/graph/throttling-limits#outlook-service-limits
    """

    concurrent_requests: int = 4
    requests_per_window: int = 10_000
    window_seconds: float = 10 * MINUTE
    subscriptions: int = 1_000


@dataclass(frozen=True, kw_only=True)
class FederatedCredential:
    """The identity of another issuer that the app registration trusts, and the PEM certificate of the issuer's key.

    https://learn.microsoft.com/entra/workload-id/workload-identity-federation
    """

    issuer: str
    subject: str
    certificate: Path


@dataclass(frozen=True, kw_only=True)
class Config:
    """One simulated tenant with its mailboxes and the one app that may use them.

    The first of `mailboxes` is the catch-all for unknown recipients. Ports of 0 are chosen by the system.
    `retry_base` is the first gap, in seconds, before a notification is tried again; `token_lifetime` and
    `subscription_token_lifetime` are seconds too. `delete_to` is the well-known folder where `DELETE message`
    puts a message (Microsoft does not document it, both have been seen). `check_folder`: a path below a folder
    answers 404 for a message that lies elsewhere (Microsoft does not document that either). `changing_mime`:
    each read of `$value` has other MIME boundaries, as Exchange generates the MIME anew.
    """

    data: Path
    mailboxes: tuple[str, ...]
    tenant_id: str
    client_id: str
    client_secret: str
    client_certificate: Path | None = None
    federated_credential: FederatedCredential | None = None
    port: int = 0
    smtp_port: int = 0
    admin_port: int = 0
    traffic: Path | None = None
    retry_base: float = 10.0
    token_lifetime: float = 3599.0
    subscription_token_lifetime: float = 3600.0
    accept_duplicate_subscriptions: bool = False
    delete_to: str = "recoverableitemsdeletions"
    check_folder: bool = True
    changing_mime: bool = False
    limits: Limits = field(default_factory=Limits)
