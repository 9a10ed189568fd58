"""The upload tokens of a tenant as operators give and end them, each with its purpose.

As in `operations.tenants.records`, the owner's functions do the work and record each action in the same transaction.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from ingest.errors import OperatorError
from ingest.routing import normal_token
from ingest.storage.database import Connection
from operations.audit import Account
from operations.database import connect, rows_as
from operations.tenants.records import ROTATE, TenantRecord, find_tenant

_PURPOSE = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")  # as the database checks

_TOKENS = "select * from ingest.upload_addresses(%(id)s)"
_ADD = "select ingest.add_upload_address(%(id)s, %(purpose)s, %(why)s, %(remark)s) as token"
_SET_PURPOSE = "select ingest.set_address_purpose(%(id)s, %(token)s, %(purpose)s, %(why)s, %(remark)s)"
_END = "select ingest.end_upload_address(%(id)s, %(token)s, %(grace)s, %(why)s, %(remark)s)"


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadToken:
    """A token that routes. `main`: the one in dms_tenant. `routes_until` is None for a token without an end."""

    token: str = field(repr=False)
    purpose: str | None
    main: bool
    given_at: datetime
    routes_until: datetime | None


class UploadTokens:
    """The upload tokens of one database's tenants, with an operator's rights. Every call raises OperatorError."""

    def __init__(self, operator_database_url: str) -> None:
        self._url = operator_database_url

    def of(self, wanted: str) -> list[UploadToken]:
        """Return the tenant's tokens that route, the main one first."""
        with connect(self._url) as connection:
            return _tokens(connection, find_tenant(connection, wanted).id)

    def add(self, wanted: str, account: Account, *, purpose: str | None) -> UploadToken:
        """Give the tenant one more token, which routes beside the main one. Its mails carry the purpose."""
        _must_be_purpose(purpose)
        with connect(self._url) as connection:
            return _add_token(connection, find_tenant(connection, wanted).id, purpose, account)

    def set_purpose(self, token: str, account: Account, *, purpose: str | None) -> UploadToken:
        """Set the purpose of a token, or take it away. Mails that are stored keep the purpose that they came with."""
        _must_be_purpose(purpose)
        with connect(self._url) as connection:
            tenant, _ = _token(connection, token)
            connection.execute(
                _SET_PURPOSE, {"id": tenant.id, "token": token, "purpose": purpose, **account.parameters}
            )
            return _token(connection, token)[1]

    def rotate(self, token: str, account: Account, *, grace: timedelta) -> UploadToken:
        """Replace a token with a fresh one of the same purpose. The old one routes for `grace` more."""
        with connect(self._url) as connection:
            tenant, old = _token(connection, token)
            words = {"id": tenant.id, "grace": grace, **account.parameters}
            if old.main:
                connection.execute(ROTATE, words)
                return next(one for one in _tokens(connection, tenant.id) if one.main)
            fresh = _add_token(connection, tenant.id, old.purpose, account)
            connection.execute(_END, {"token": token, **words})
            return fresh

    def end(self, token: str, account: Account, *, grace: timedelta) -> None:
        """Let a token that was added route for `grace` more, and then no longer. The main one is rotated instead."""
        with connect(self._url) as connection:
            tenant, _ = _token(connection, token)
            words = {"id": tenant.id, "grace": grace, **account.parameters}
            connection.execute(_END, {"token": token, **words})


def _must_be_purpose(purpose: str | None) -> None:
    if purpose is not None and not _PURPOSE.fullmatch(purpose):
        raise OperatorError(
            f"{purpose[:50]!r} is no purpose: write up to 40 of a-z, 0-9, - and _, such as incoming, outgoing or cash."
        )


def _tokens(connection: Connection, tenant: int | UUID) -> list[UploadToken]:
    return rows_as(connection, UploadToken, _TOKENS, {"id": tenant})


def _token(connection: Connection, token: str) -> tuple[TenantRecord, UploadToken]:
    """Return the tenant of a token that routes, and the token. Raises OperatorError."""
    tenant = find_tenant(connection, token)
    found = [one for one in _tokens(connection, tenant.id) if one.token == normal_token(token)]
    if not found:
        raise OperatorError("Name the address itself, not its tenant (see tenants address list).")
    return tenant, found[0]


def _add_token(connection: Connection, tenant: int | UUID, purpose: str | None, account: Account) -> UploadToken:
    words = {"id": tenant, "purpose": purpose, **account.parameters}
    token = (connection.execute(_ADD, words).fetchone() or {})["token"]
    return next(one for one in _tokens(connection, tenant) if one.token == token)
