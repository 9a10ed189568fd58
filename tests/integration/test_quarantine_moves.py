"""Two operators, or an operator and retention, at one mail in Quarantine: the mail goes where one of them moved it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import cast

import pytest

from ingest.codes import Reason
from ingest.errors import NotFound, OperatorError
from ingest.graph.mailbox import Location
from ingest.model.message import Scope
from ingest.model.message_ref import MessageRef
from ingest.settings import RouteMode
from ingest.wiring import App
from operations.audit import Account, Audit
from operations.mails.quarantine import Quarantine
from tests.fakes import values
from tests.integration.databases import Database

pytestmark = pytest.mark.shares("postgres")

ACCOUNT = Account(why="ticket 7", remark="anna")


class Mailbox:
    """One mail and its folder. `before_the_move` is called once."""

    def __init__(self) -> None:
        self.folder = "quarantine"
        self.before_the_move: Callable[[], object] = lambda: None

    def locate(self, ref: MessageRef) -> Location:  # noqa: ARG002 - there is one
        return Location(folder_id=self.folder, categories=(Reason.NO_TOKEN,))

    def find_quarantine(self, mailbox: str) -> str:  # noqa: ARG002 - there is one
        return "quarantine"

    def original(
        self,
        ref: MessageRef,  # noqa: ARG002 - there is one
        scope: Scope,  # noqa: ARG002 - there is one
    ) -> AbstractContextManager[Iterator[bytes]]:
        raise NotFound("the addresses do not matter here")

    def release(self, ref: MessageRef, categories: Sequence[str]) -> None:  # noqa: ARG002 - there is one
        self._move("inbox")

    def discard(self, ref: MessageRef) -> None:  # noqa: ARG002 - there is one
        self._move("deleteditems")

    def bring_back(self, ref: MessageRef) -> None:  # noqa: ARG002 - there is one
        self._move("quarantine")

    def _move(self, folder: str) -> None:
        meanwhile, self.before_the_move = self.before_the_move, lambda: None
        meanwhile()
        self.folder = folder


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def quarantine(database: Database, mailbox: Mailbox) -> Quarantine:
    settings = SimpleNamespace(address_pattern=None, address_domains=frozenset(), route=RouteMode.FIRST)
    app = cast("App", SimpleNamespace(mailboxes=mailbox, settings=settings))
    return Quarantine(app, database.operator_url)


FOLDERS = {"delete": "deleteditems", "release": "inbox", "bring_back": "quarantine"}


@pytest.mark.parametrize(("first", "second"), [("delete", "release"), ("release", "delete"), ("bring_back", "release")])
def test_of_two_operators_at_one_mail_the_second_one_is_refused(
    database: Database, quarantine: Quarantine, mailbox: Mailbox, first: str, second: str
) -> None:
    def comes_second() -> None:
        with pytest.raises(OperatorError, match="is moving this mail"):
            getattr(quarantine, second)(values.ref(), ACCOUNT)

    mailbox.before_the_move = comes_second
    getattr(quarantine, first)(values.ref(), ACCOUNT)
    assert mailbox.folder == FOLDERS[first]
    assert [entry.action for entry in Audit(database.operator_url).newest(limit=9)] == [f"message.{first}"]


def test_two_mails_are_moved_side_by_side(quarantine: Quarantine, mailbox: Mailbox) -> None:
    mailbox.before_the_move = lambda: quarantine.delete(values.ref(message_id="AAk-other"), ACCOUNT)
    quarantine.delete(values.ref(), ACCOUNT)
