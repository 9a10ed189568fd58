"""Graph's JSON of messages, both ways: reading, listing, cleaning up."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ingest.codes import Reason
from ingest.errors import GraphRefused, GraphServerError, GraphUnavailable, MimeUnavailable, NotFound, Rejected
from ingest.graph.mailbox import BARREN_PAGES, CONVERSION_WAITS, NOT_FOUND_WAITS, Mailboxes
from ingest.graph.retry import MAX_ATTEMPTS
from ingest.model.message import Attachment, AttachmentKind, Scope
from ingest.model.message_ref import MessageRef, Trigger
from ingest.settings import DeleteMode, SweepScope
from tests.fakes.graph_endpoint import BASE_URL, Answer, Graph, error, graph
from tests.fakes.values import MAILBOX, ref

BOX = f"/users/{MAILBOX}"
FILE = {
    "@odata.type": "#microsoft.graph.fileAttachment",
    "id": "att",
    "name": "a.pdf",
    "contentType": "application/pdf",
}


def boxes(
    one: Graph, *, delete_mode: DeleteMode = DeleteMode.DELETE, sweep_scope: SweepScope = SweepScope.UNREAD
) -> Mailboxes:
    return Mailboxes(
        one.client,
        quarantine_folder="Quarantine",
        delete_mode=delete_mode,
        sweep_scope=sweep_scope,
        sleep=one.time.sleep,
    )


# Reading

IN_INBOX, ANYWHERE = f"{BOX}/mailFolders/inbox/messages/AAkALg1", f"{BOX}/messages/AAkALg1"
CONVERSION_FAILED = error(500, "ErrorMimeContentConversionFailed")


def mime(one: Graph, of: MessageRef | None = None, scope: Scope = Scope.INBOX) -> bytes:
    with boxes(one).original(of or ref(), scope) as blocks:
        return b"".join(blocks)


def test_a_content_that_ends_with_its_connection_is_not_taken() -> None:
    """One that broke off would look whole, and the mail would be deleted."""
    with pytest.raises(GraphUnavailable, match="neither its length nor"):
        mime(graph(Answer(content=b"half of a mi", headers={"Content-Length": ""})))
    chunked = {"Content-Length": "", "Transfer-Encoding": "chunked"}
    assert mime(graph(Answer(content=b"mime", headers=chunked))) == b"mime"


@pytest.mark.parametrize(("scope", "path"), [(Scope.INBOX, IN_INBOX), (Scope.MAILBOX, ANYWHERE)])
def test_the_original_is_one_request(scope: Scope, path: str) -> None:
    one = graph(Answer(content=b"mime"))
    assert mime(one, scope=scope) == b"mime"
    assert one.calls == [("GET", f"{path}/$value")]


def test_graphs_message_is_one_request_with_its_headers_and_attachments() -> None:
    one = graph(Answer(content={"id": "AAkALg1"}))
    with boxes(one).message_json(ref()) as blocks:
        assert b"".join(blocks) == b'{"id": "AAkALg1"}'
    assert one.calls == [("GET", ANYWHERE)]
    assert "internetMessageHeaders" in one.requests[0].query["$select"]
    assert one.requests[0].query["$expand"].startswith("attachments(")


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (FILE, AttachmentKind.FILE),
        (FILE | {"@odata.type": "#microsoft.graph.itemAttachment", "contentType": None}, AttachmentKind.ITEM),
        (FILE | {"@odata.type": "#microsoft.graph.referenceAttachment"}, AttachmentKind.REFERENCE),
        (FILE | {"@odata.type": "#microsoft.graph.hologramAttachment"}, AttachmentKind.UNKNOWN),
        ({"id": "att"}, AttachmentKind.UNKNOWN),
    ],
)
def test_attachments_of_every_type_are_read(item: dict[str, Any], expected: AttachmentKind) -> None:
    (read,) = boxes(graph(Answer(content={"value": [item]}))).attachments(ref())
    assert (read.id, read.kind) == ("att", expected)


@pytest.mark.parametrize(("written", "read"), [("<logo@x>", "logo@x"), ("logo@x", "logo@x"), ("", None), (None, None)])
def test_a_content_id_is_read_without_brackets(written: str | None, read: str | None) -> None:
    content = {"value": [FILE | {"contentId": written}]}
    assert boxes(graph(Answer(content=content))).attachments(ref())[0].content_id == read


def test_all_pages_of_attachments_are_read() -> None:
    link = f"{BASE_URL}{BOX}/messages/AAkALg1/attachments?$skip=1"
    one = graph(
        Answer(content={"value": [FILE], "@odata.nextLink": link}),
        Answer(content={"value": [FILE | {"id": "b"}], "@odata.nextLink": link}),
        Answer(content={"value": [FILE | {"id": "c"}]}),
    )
    assert [item.id for item in boxes(one).attachments(ref())] == ["att", "b", "c"]


def test_ids_are_escaped() -> None:
    one = graph(Answer(content=b"x"), Answer(content=b"x"))
    assert mime(one, ref("a/b=?#'(")) == b"x"
    odd = Attachment(id="c/d", kind=AttachmentKind.FILE, name="", content_type=None)
    with boxes(one).content(ref("a/b"), odd) as blocks:
        assert b"".join(blocks) == b"x"
    assert [path for _, path in one.calls] == [
        f"{BOX}/mailFolders/inbox/messages/a%2Fb%3D%3F%23%27%28/$value",
        f"{BOX}/messages/a%2Fb/attachments/c%2Fd/$value",
    ]


def test_a_message_may_not_be_found_for_a_moment_after_its_notification() -> None:
    one = graph(error(404), error(404), Answer(content=b"mime"))
    assert mime(one) == b"mime"
    assert one.time.slept == list(NOT_FOUND_WAITS[:2])


def test_a_message_that_is_not_found_is_gone_after_a_while() -> None:
    one = graph(*[error(404)] * (len(NOT_FOUND_WAITS) + 1))
    with pytest.raises(NotFound):
        mime(one)
    assert sum(one.time.slept) == sum(NOT_FOUND_WAITS)


def test_what_the_sweep_has_seen_and_is_not_found_is_gone_at_once() -> None:
    one = graph(error(404))
    with pytest.raises(NotFound):
        mime(one, ref(trigger=Trigger.SWEEP))


@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize("code", ["ErrorCorruptData", "ErrorMimeContentConversionFailed", "ErrorItemCorrupt"])
def test_a_mail_that_exchange_does_not_convert_has_no_mime(status: int, code: str) -> None:
    one = graph(*[error(status, code)] * (len(CONVERSION_WAITS) + 1))
    with pytest.raises(MimeUnavailable):
        mime(one)
    assert one.time.slept == list(CONVERSION_WAITS)


def test_a_conversion_that_fails_once_may_work_a_moment_later() -> None:
    assert mime(graph(CONVERSION_FAILED, Answer(content=b"mime"))) == b"mime"


def test_a_500_without_a_code_is_graphs_trouble_for_now() -> None:
    with pytest.raises(GraphServerError):
        mime(graph(*[Answer(status=500, content=b"")] * MAX_ATTEMPTS))


@pytest.mark.parametrize("code", ["ErrorCorruptData", "ErrorItemCorrupt"])
def test_an_item_that_is_damaged_altogether_is_rejected(code: str) -> None:
    with pytest.raises(Rejected) as rejected:
        boxes(graph(error(500, code))).attachments(ref())
    assert rejected.value.reason is Reason.UNREADABLE
    with pytest.raises(Rejected), boxes(graph(error(400, code))).message_json(ref()):
        pass


def test_any_other_refusal_is_not_the_mails_fault() -> None:
    with pytest.raises(GraphRefused):
        mime(graph(error(400, "ErrorInvalidRequest")))


def test_the_inbox_is_asked_for_once() -> None:
    here = Answer(content={"parentFolderId": "inbox-id", "categories": ["Red"]})
    one = graph(here, Answer(content={"id": "inbox-id"}), here, Answer(content={"parentFolderId": "elsewhere"}))
    box = boxes(one)
    assert [box.categories_in_inbox(ref()) for _ in range(3)] == [("Red",), ("Red",), None]
    assert one.calls.count(("GET", f"{BOX}/mailFolders/inbox")) == 1


# Deleting


@pytest.mark.parametrize(
    ("mode", "call"),
    [
        (DeleteMode.DELETE, ("DELETE", IN_INBOX)),
        (DeleteMode.PERMANENT, ("POST", f"{IN_INBOX}/permanentDelete")),
    ],
)
@pytest.mark.parametrize("answer", [Answer(status=204), error(404, "ErrorItemNotFound")])
def test_a_message_that_is_gone_is_deleted(mode: DeleteMode, call: tuple[str, str], answer: Answer) -> None:
    one = graph(answer)
    boxes(one, delete_mode=mode).delete(ref(), Scope.INBOX)
    assert one.calls == [call]


# Quarantine

FOUND = Answer(content={"value": [{"id": "q1", "displayName": "Quarantine"}]})
NOT_THERE = Answer(content={"value": []})
PATCHED = Answer(content={})
MOVED = Answer(status=201, content={})
LIST, CREATE = ("GET", f"{BOX}/mailFolders"), ("POST", f"{BOX}/mailFolders")
PATCH, MOVE = ("PATCH", f"{BOX}/messages/AAkALg1"), ("POST", f"{BOX}/messages/AAkALg1/move")


def test_the_reason_goes_beside_the_categories_before_the_move() -> None:
    one = graph(PATCHED, FOUND, MOVED)
    boxes(one).quarantine(ref(), Reason.NO_TOKEN, ["Red", "unknown_token"])
    assert one.calls == [PATCH, LIST, MOVE]
    assert one.requests[0].body == {"categories": ["Red", "no_token"]}
    assert one.requests[2].body == {"destinationId": "q1"}


def test_the_folder_is_looked_for_once() -> None:
    one = graph(PATCHED, FOUND, MOVED, PATCHED, MOVED)
    box = boxes(one)
    box.quarantine(ref(), Reason.NO_TOKEN)
    box.quarantine(ref(), Reason.NO_TOKEN)
    assert one.calls == [PATCH, LIST, MOVE, PATCH, MOVE]


def test_a_name_with_a_quote_is_looked_for_as_such() -> None:
    one = graph(PATCHED, FOUND, MOVED)
    box = Mailboxes(
        one.client, quarantine_folder="L'attente", delete_mode=DeleteMode.DELETE, sweep_scope=SweepScope.ALL
    )
    box.quarantine(ref(), Reason.NO_TOKEN)
    assert one.requests[1].query["$filter"] == "displayName eq 'L''attente'"


def test_the_folder_is_made_where_there_is_none() -> None:
    one = graph(PATCHED, NOT_THERE, Answer(status=201, content={"id": "q2"}), MOVED)
    boxes(one).quarantine(ref(), Reason.NO_TOKEN)
    assert one.calls == [PATCH, LIST, CREATE, MOVE]
    assert one.requests[2].body == {"displayName": "Quarantine"}
    assert one.requests[3].body == {"destinationId": "q2"}


@pytest.mark.parametrize("status", [400, 409])
def test_another_instance_may_be_faster_in_making_it(status: int) -> None:
    one = graph(PATCHED, NOT_THERE, error(status, "ErrorFolderExists"), FOUND, MOVED)
    boxes(one).quarantine(ref(), Reason.NO_TOKEN)
    assert one.requests[-1].body == {"destinationId": "q1"}


@pytest.mark.parametrize("refusal", [error(404, "ErrorItemNotFound"), error(400, "ErrorInvalidIdMalformed")])
def test_a_folder_that_a_person_has_deleted_is_found_or_made_anew(refusal: Answer) -> None:
    one = graph(PATCHED, FOUND, MOVED, PATCHED, refusal, NOT_THERE, Answer(status=201, content={"id": "q2"}), MOVED)
    box = boxes(one)
    box.quarantine(ref(), Reason.NO_TOKEN)
    box.quarantine(ref(), Reason.NO_TOKEN)
    assert one.calls[-3:] == [LIST, CREATE, MOVE]
    assert one.requests[-1].body == {"destinationId": "q2"}


def test_a_message_that_is_gone_can_not_be_quarantined() -> None:
    with pytest.raises(NotFound):
        boxes(graph(error(404))).quarantine(ref(), Reason.NO_TOKEN)
    with pytest.raises(NotFound):
        boxes(graph(PATCHED, FOUND, error(404), FOUND, error(404))).quarantine(ref(), Reason.NO_TOKEN)


def test_a_move_that_was_carried_out_before_its_404_is_done() -> None:
    located = Answer(content={"id": "AAkALg1", "parentFolderId": "q1", "categories": []})
    one = graph(PATCHED, FOUND, error(404), FOUND, located)
    boxes(one).quarantine(ref(), Reason.NO_TOKEN)
    assert one.calls[-1] == ("GET", ANYWHERE)


def test_a_message_that_still_lies_elsewhere_was_not_moved() -> None:
    located = Answer(content={"id": "AAkALg1", "parentFolderId": "inbox-id", "categories": []})
    with pytest.raises(NotFound):
        boxes(graph(PATCHED, FOUND, error(404), FOUND, located)).quarantine(ref(), Reason.NO_TOKEN)


# Listing

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Inbox:
    """Messages that come and go while they are listed. Answers as Graph does: by time, then by position."""

    def __init__(self, *seconds: int, top: int = 3, links: bool = True) -> None:
        self.messages = [(f"A{number}", START + timedelta(seconds=second)) for number, second in enumerate(seconds)]
        self.asked: list[str] = []
        self._top = top
        self._links = links
        self._since = ""

    def answer(self, query: dict[str, str]) -> Answer:
        skip = int(query.get("$skip", 0))
        if "$filter" in query:
            self._since = query["$filter"].split()[2]
        self.asked.append(f"{self._since} +{skip}")
        since = datetime.fromisoformat(self._since)
        rows = sorted((one for one in self.messages if one[1] >= since), key=lambda one: one[1])
        page = rows[skip : skip + self._top]
        body: dict[str, Any] = {
            "value": [{"id": name, "receivedDateTime": f"{at:%Y-%m-%dT%H:%M:%SZ}"} for name, at in page]
        }
        if self._links and len(rows) > skip + self._top:
            body["@odata.nextLink"] = f"{BASE_URL}{BOX}/mailFolders('inbox')/messages?$skip={skip + self._top}"
        return Answer(content=body)


def listing(inbox: Inbox, scope: SweepScope = SweepScope.UNREAD) -> tuple[Mailboxes, Graph]:
    one = graph()
    send = one.endpoint.send

    def by_query(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - requests' own
        url = args[0].url
        query = dict(itertools.batched(_pairs(url), 2, strict=True))
        one.endpoint.script = [inbox.answer(query)]
        return send(*args, **options)

    one.endpoint.send = by_query  # type: ignore[method-assign]  # answers by what is asked, not by a script
    return boxes(one, sweep_scope=scope), one


def _pairs(url: str) -> Sequence[str]:
    from urllib.parse import parse_qsl, urlsplit  # noqa: PLC0415 - for this one helper

    return [text for pair in parse_qsl(urlsplit(url).query) for text in pair]


def listed(inbox: Inbox) -> list[str]:
    box, _ = listing(inbox)
    return [item.ref.message_id for page in box.list_inbox(MAILBOX) for item in page]


def test_a_listing_asks_for_the_unread_oldest_first_in_the_order_that_graph_wants() -> None:
    box, one = listing(Inbox(1))
    ((item,),) = list(box.list_inbox(MAILBOX))
    assert item.ref == MessageRef(mailbox=MAILBOX, message_id="A0", trigger=Trigger.SWEEP)
    query = one.requests[0].query
    assert query["$filter"] == "receivedDateTime ge 1900-01-01T00:00:00Z and isRead eq false"
    assert query["$orderby"] == "receivedDateTime"


def test_a_listing_of_everything_asks_for_what_was_read_too() -> None:
    box, one = listing(Inbox(1), SweepScope.ALL)
    list(box.list_inbox(MAILBOX))
    assert "isRead" not in one.requests[0].query["$filter"]


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("seconds", [(), (1,), (1, 2, 3), (1, 2, 3, 4), tuple(range(20)), (1, 1, 2, 2, 3, 3, 4, 4)])
def test_every_message_is_listed_once_with_or_without_next_links(seconds: tuple[int, ...], *, links: bool) -> None:
    assert listed(Inbox(*seconds, links=links)) == [f"A{number}" for number in range(len(seconds))]


def test_messages_of_the_same_second_are_listed_all_over_any_number_of_pages() -> None:
    found = listed(Inbox(1, *[2] * 10, 3))
    assert sorted(found) == sorted(f"A{number}" for number in range(12))


def test_deleting_while_listing_skips_no_message() -> None:
    inbox = Inbox(*range(12))
    box, _ = listing(inbox)
    found = []
    for page in box.list_inbox(MAILBOX):
        found += [item.ref.message_id for item in page]
        inbox.messages = [one for one in inbox.messages if one[0] not in found]
    assert found == [f"A{number}" for number in range(12)]


def test_a_message_that_comes_while_listing_is_listed_too() -> None:
    inbox = Inbox(1, 2, 3)
    box, _ = listing(inbox)
    pages = box.list_inbox(MAILBOX)
    next(pages)
    inbox.messages.append(("late", START + timedelta(seconds=3)))
    assert [item.ref.message_id for page in pages for item in page] == ["late"]


def test_a_next_link_that_leads_in_a_circle_ends() -> None:
    circle = Answer(
        content={
            "value": [{"id": "A1", "receivedDateTime": "2026-03-01T12:00:00Z"}],
            "@odata.nextLink": f"{BASE_URL}{BOX}/mailFolders('inbox')/messages?$skip=1",
        }
    )
    one = graph(*[circle] * 10)
    assert [len(page) for page in boxes(one).list_inbox(MAILBOX)] == [1]


# Odd items

HOUR = "2026-03-01T12:00:00Z"
ODD_ITEMS: list[Any] = [
    {},
    {"receivedDateTime": HOUR},
    {"id": None, "receivedDateTime": HOUR},
    {"id": "", "receivedDateTime": HOUR},
    {"id": "with space", "receivedDateTime": HOUR},
    {"id": 7, "receivedDateTime": HOUR},
    {"error": {"code": "ErrorItemNotFound"}},
    None,
    "text",
    [],
    1,
]


@pytest.mark.parametrize("odd", ODD_ITEMS)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_odd_item_stops_no_sweep(odd: Any, place: int, caplog: pytest.LogCaptureFixture) -> None:  # noqa: ANN401 - any JSON
    items: list[Any] = [{"id": "A1", "receivedDateTime": HOUR}, {"id": "A2", "receivedDateTime": HOUR}]
    items.insert(place, odd)
    one = graph(Answer(content={"value": items}), Answer(content={"value": items}))
    found = [item.ref.message_id for page in boxes(one).list_inbox(MAILBOX) for item in page]
    assert found == ["A1", "A2"]
    assert 'graph.odd_items operation="list_inbox"' in caplog.text
    assert "skipped=1" in caplog.text


@pytest.mark.parametrize("odd", ODD_ITEMS)
def test_an_odd_item_among_the_attachments_lets_no_mail_be_filed_without_it(
    odd: Any,  # noqa: ANN401 - any JSON
    caplog: pytest.LogCaptureFixture,
) -> None:
    one = graph(Answer(content={"value": [FILE, odd, FILE | {"id": "b"}]}))
    with pytest.raises(GraphRefused, match="with an attachment that has no id"):
        boxes(one).attachments(ref())
    assert 'graph.odd_items operation="list_attachments"' in caplog.text
    assert "skipped=1" in caplog.text


NEXT = {"value": [FILE], "@odata.nextLink": f"{BASE_URL}{ANYWHERE}/attachments?$skip=1"}


@pytest.mark.parametrize(
    ("answers", "ask"),
    [
        ([{}], lambda box: box.attachments(ref())),
        ([NEXT, {}], lambda box: box.attachments(ref())),
        ([{}], lambda box: list(box.list_inbox(MAILBOX))),
        ([{}], lambda box: box.categories_in_inbox(ref())),
        ([{"parentFolderId": "inbox-id"}, {}], lambda box: box.categories_in_inbox(ref())),
        ([{}, {"value": []}, {}], lambda box: box.quarantine(ref(), Reason.NO_TOKEN)),
        ([{}], lambda box: box.count_inbox(MAILBOX)),
        ([{}], lambda box: box.count_junk(MAILBOX)),
    ],
)
def test_an_empty_answer_is_no_fact_about_a_mail_or_a_folder(
    answers: list[Any], ask: Callable[[Mailboxes], object]
) -> None:
    """A gateway in trouble answers 200, too. An empty list of attachments is a mail without documents."""
    with pytest.raises(GraphUnavailable, match="the answer"):
        ask(boxes(graph(*[Answer(content=one) for one in answers])))


@pytest.mark.parametrize("field", ["name", "contentType", "contentId", "size", "@odata.type"])
@pytest.mark.parametrize("value", [None, 7, 1.5, {}, ["a"], "\ud800"])
def test_an_odd_value_beside_the_id_hides_no_attachment(field: str, value: object) -> None:
    (read,) = boxes(graph(Answer(content={"value": [FILE | {field: value}]}))).attachments(ref())
    assert read.id == "att"
    assert isinstance(read.name, str)
    assert read.content_type is None or isinstance(read.content_type, str)
    assert isinstance(read.size, int)


@pytest.mark.parametrize("odd", ODD_ITEMS)
def test_an_odd_item_hides_no_folder(odd: Any, caplog: pytest.LogCaptureFixture) -> None:  # noqa: ANN401 - any JSON
    one = graph(PATCHED, Answer(content={"value": [odd, {"id": "q1", "displayName": "Quarantine"}]}), MOVED)
    boxes(one).quarantine(ref(), Reason.NO_TOKEN)
    assert one.requests[-1].body == {"destinationId": "q1"}
    assert 'graph.odd_items operation="find_folder"' in caplog.text


def test_an_odd_or_unmovable_message_of_junk_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    items = [{"id": "A1", "receivedDateTime": HOUR}, {"id": None}, {"id": "A2"}, {"id": "A3", "receivedDateTime": HOUR}]
    one = graph(
        Answer(content={"value": items}),
        error(400, "ErrorMoveCopyFailed"),
        error(404, "ErrorItemNotFound"),
        Answer(status=201, content={"id": "A3"}),
    )
    assert boxes(one).bring_in_junk(MAILBOX, limit=100) == 1
    assert one.requests[0].query["$top"] == "100"
    assert one.calls == [
        ("GET", f"{BOX}/mailFolders/junkemail/messages"),
        *(("POST", f"{BOX}/messages/{message_id}/move") for message_id in ("A1", "A2", "A3")),
    ]
    assert caplog.text.count("sweep.junk_not_moved") == 2


@pytest.mark.parametrize("time", [None, "", "yesterday", 0, {}, "2026-99-99T00:00:00Z", "0001-01-01T00:00:00+14:00"])
def test_a_message_without_a_time_that_can_be_read_is_taken_all_the_same(time: object) -> None:
    items = [{"id": "A1", "receivedDateTime": time}, {"id": "A2", "receivedDateTime": HOUR}]
    one = graph(Answer(content={"value": items}), Answer(content={"value": items}))
    found = [item for page in boxes(one).list_inbox(MAILBOX) for item in page]
    assert [item.ref.message_id for item in found] == ["A1", "A2"]
    assert found[0].received_at is None


def test_a_page_of_odd_items_is_not_the_end() -> None:
    link = f"{BASE_URL}{BOX}/mailFolders('inbox')/messages?$skip=2"
    good = {"value": [{"id": "A1", "receivedDateTime": HOUR}]}
    one = graph(
        Answer(content={"value": [{}, None], "@odata.nextLink": link}), Answer(content=good), Answer(content=good)
    )
    assert [item.ref.message_id for page in boxes(one).list_inbox(MAILBOX) for item in page] == ["A1"]


def test_links_that_lead_nowhere_end(caplog: pytest.LogCaptureFixture) -> None:
    links = [f"{BASE_URL}{BOX}/mailFolders('inbox')/messages?$skip={n % 2}" for n in range(BARREN_PAGES)]
    one = graph(*(Answer(content={"value": [], "@odata.nextLink": link}) for link in links))
    assert list(boxes(one).list_inbox(MAILBOX)) == []
    assert "sweep.listing_stopped" in caplog.text


def test_a_listing_without_a_list_comes_later() -> None:
    one = graph(Answer(content={"value": {"error": "odd"}}))
    with pytest.raises(GraphUnavailable, match="has no list of items"):
        list(boxes(one).list_inbox(MAILBOX))


def test_an_odd_item_hides_no_other_mail_in_quarantine() -> None:
    mail = {"id": "A1", "receivedDateTime": HOUR, "from": "text", "subject": 7, "categories": ["no_token"]}
    items = [
        {"id": "A0", "receivedDateTime": None},
        None,
        {"id": "A2", "categories": 3, "receivedDateTime": HOUR},
        mail,
    ]
    one = graph(Answer(content={"value": [{}, {"id": "folder"}]}), Answer(content={"value": items}))
    assert [found.ref.message_id for found in boxes(one).quarantined(MAILBOX)] == ["A1"]
