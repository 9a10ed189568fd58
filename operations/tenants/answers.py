"""The answers that tenants want, set with an operator's rights."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from ingest.codes import AnswerKind
from operations.audit import Account
from operations.database import connect, rows_as

_LIST: LiteralString = "select tenant_id, kind, set_at, set_by from ingest.answer_rules(%(tenant)s)"
_SET: LiteralString = "select ingest.set_answer(%(tenant)s, %(kind)s, %(wanted)s, %(why)s, %(remark)s)"


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerRule:
    """A kind of answer that a tenant wants. `tenant_id`: None for mails that are no tenant's."""

    tenant_id: int | UUID | None
    kind: str
    set_at: datetime
    set_by: str


class AnswerRules:
    """The answers that the tenants of one database want. Every call may raise OperatorError."""

    def __init__(self, operator_database_url: str) -> None:
        self._url = operator_database_url

    def of(self, tenant: int | UUID | None) -> list[AnswerRule]:
        """Return the answers that a tenant wants; without one, those to mails that are no tenant's."""
        with connect(self._url) as connection:
            return rows_as(connection, AnswerRule, _LIST, {"tenant": tenant})

    def set(self, tenant: int | UUID | None, kind: AnswerKind, account: Account, *, wanted: bool) -> None:
        """Want an answer, or want it no more; the action is on the record."""
        parameters = {"tenant": tenant, "kind": kind, "wanted": wanted, **account.parameters}
        with connect(self._url) as connection:
            connection.execute(_SET, parameters)
