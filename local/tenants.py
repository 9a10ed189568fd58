"""The demo's tenants, and the addresses to which their suppliers send."""

from dataclasses import dataclass

DOMAIN = "dms.cloud"
DEMO_TENANTS = ("Tischlerei Südhang", "Nordlicht GmbH")


@dataclass(frozen=True, kw_only=True)
class LocalTenant:
    """A tenant that was made here. `id` is `dms_tenant.id` as text."""

    id: str
    name: str
    token: str
    address: str


def upload_address(token: str) -> str:
    """Give the address that belongs to an ingest token."""
    return f"upload.{token}@{DOMAIN}"
