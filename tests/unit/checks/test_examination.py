"""An examination goes on after each error of a check, and reports the finding of each check."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import NoReturn, cast

import pytest

from checks import daily
from checks.app import CHECKS
from checks.examination import Check, CheckContext, Status, Trouble, examine
from ingest import log
from ingest.errors import GraphUnavailable
from ingest.wiring import App
from tests.fakes.values import ENVIRONMENT


def check(name: str, look: Callable[[], str], needs: Sequence[str] = ()) -> Check:
    return Check(name=name, look=lambda _: look(), advice=f"mend {name}", needs=needs)


def raising(error: Exception) -> Callable[[], str]:
    def look() -> str:
        raise error

    return look


def test_a_finding_says_what_was_found_and_what_to_do() -> None:
    checks = [
        check("well", lambda: "is there"),
        check("warned", raising(Trouble("is nearly there", warning=True))),
        check("failed", raising(Trouble("is not there"))),
        check("down", raising(GraphUnavailable("Graph is down"))),
        check("ours", raising(KeyError("leaked"))),
        check("after", lambda: "never asked", needs=("failed",)),
    ]
    found = list(examine(CheckContext(environ={}), checks))
    assert [(one.check, one.status) for one in found] == [
        ("well", Status.OK),
        ("warned", Status.WARNING),
        ("failed", Status.FAILED),
        ("down", Status.FAILED),
        ("ours", Status.FAILED),
        ("after", Status.SKIPPED),
    ]
    assert "leaked" not in found[4].said
    assert [one.advice for one in found[:3]] == [None, "mend warned", "mend failed"]


def test_the_daily_examination_logs_for_each_check_whether_it_failed() -> None:
    events: list[tuple[object, object]] = []
    stop = log.subscribe(lambda _event, fields: events.append((fields.get("check"), fields.get("failed"))))
    try:
        daily.report({})
    finally:
        stop()
    # Without a setting the first check fails, and those that need it are skipped: they hide no second alert.
    names = [one.name for one in CHECKS]
    queue = ("queue", 0)
    assert events == [(name, int(name == "settings")) for name in names]
    assert queue in events


@pytest.mark.parametrize("one", CHECKS, ids=lambda one: one.name)
def test_a_check_needs_only_what_is_looked_at_before(one: Check) -> None:
    names = [other.name for other in CHECKS]
    assert set(one.needs) <= set(names[: names.index(one.name)])


def test_no_way_to_graph_is_no_matter_of_permissions() -> None:
    # Here, not in the table of broken things: the client's retries take half a minute.
    class Mailboxes:
        def count_inbox(self, _: str) -> NoReturn:
            raise GraphUnavailable("get_inbox: ConnectionError after 6 attempts")

    context = CheckContext(environ=ENVIRONMENT)
    context.app = cast("App", SimpleNamespace(mailboxes=Mailboxes()))
    (access,) = (one for one in CHECKS if one.name == "mailbox access")
    (found,) = examine(context, [access])
    assert (found.status, found.said) == (Status.FAILED, "get_inbox: ConnectionError after 6 attempts")
    assert "GRAPH_BASE_URL" in (found.advice or "")
