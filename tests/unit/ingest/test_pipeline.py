"""The story of one message, every way it can go: nothing leaves the inbox before it is safe, nothing is lost."""

import json
import logging
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import format_datetime
from functools import partial
from itertools import pairwise

import pytest

from ingest import log
from ingest.codes import Disposition, HeldReason, Reason
from ingest.errors import (
    AttachmentPending,
    BlobConflict,
    BlobUnavailable,
    ContentInterrupted,
    DatabaseUnavailable,
    Defect,
    GraphRefused,
    GraphServerError,
    GraphThrottled,
    GraphUnavailable,
    Later,
    LeaseLost,
    NotFound,
    Overdue,
    Rejected,
)
from ingest.model.blob import StoredBlob
from ingest.model.claim import ClaimState
from ingest.model.message import OriginalForm
from ingest.model.message_ref import Announcement, MessageRef, Trigger
from ingest.model.outcome import Busy, CleanedUp, Gone, Quarantined, Stored, Waits
from ingest.original import REDIRECT_HEADERS
from ingest.pipeline import ATTACHMENT_PATIENCE, CRASH_LIMIT, DEFECT_LIMIT, OVERRUN_LIMIT
from ingest.reading import ATTEMPTS_WITH_500
from ingest.settings import RouteMode
from tests.fakes import values
from tests.fakes.journal import Journal
from tests.fakes.mail import PDF, email
from tests.fakes.payloads import payload_file
from tests.fakes.values import NOON, OTHER_TOKEN, TOKEN
from tests.fakes.world import FIRST, OFF, OFF_TOKEN, SECOND, TENANTS, World, address


@pytest.fixture
def world() -> World:
    return World()


# Stored


def test_a_mail_is_stored_and_then_deleted(world: World) -> None:
    ref = world.mail.deliver(email(attachments={"invoice.pdf": PDF, "second.pdf": PDF + b"2"}))
    mime = world.mail.mime(ref)
    assert world.pipeline.ingest_message(ref) == Stored(documents=2)
    assert world.mail.folder(ref) is None
    assert world.records.row(ref).state == "deleted"
    saved = world.saved(ref)
    assert b"".join(world.blobs.read(saved.original.name)) == mime
    documents = [part for part in saved.parts if part.disposition is Disposition.DOCUMENT]
    assert [part.name for part in documents] == ["invoice.pdf", "second.pdf"]
    assert [b"".join(world.blobs.read(part.blob.name)) for part in documents if part.blob] == [PDF, PDF + b"2"]


def test_nothing_is_deleted_before_it_is_saved(world: World) -> None:
    world.pipeline.ingest_message(world.mail.deliver(email()))
    steps = world.journal.steps
    last_store = max(index for index, step in enumerate(steps) if step == "store")
    assert last_store < steps.index("save") < steps.index("delete") < steps.index("end.deleted")


def test_a_mail_without_documents_is_a_document_itself(world: World) -> None:
    ref = world.mail.deliver(email(attachments={}))
    assert world.pipeline.ingest_message(ref) == Stored(documents=1)


def test_blob_names_hold_tenant_and_message_and_nothing_that_a_stranger_wrote(world: World) -> None:
    ref = world.mail.deliver(email(attachments={"../../etc/passwd": PDF, "C:\\x\u202efdp.exe": PDF + b"2"}))
    world.pipeline.ingest_message(ref)
    for name in world.blobs.names():
        assert re.fullmatch(rf"1/{ref.key}/[0-9a-z.\-/]+", name)
    assert {part.name for part in world.saved(ref).parts} >= {"../../etc/passwd", "C:\\x\u202efdp.exe"}


def test_an_unknown_token_does_not_stop_the_search(world: World) -> None:
    ref = world.mail.deliver(email(to=[address("ab" * 16), address(OFF_TOKEN)], cc=[address(OTHER_TOKEN.upper())]))
    assert world.pipeline.ingest_message(ref) == Stored(documents=1)
    assert list(world.records.saved) == [(SECOND, ref.mailbox, ref.message_id)]


def test_the_first_tenant_named_gets_the_mail(world: World) -> None:
    ref = world.mail.deliver(email(to=[address(TOKEN), address(OTHER_TOKEN)]))
    world.pipeline.ingest_message(ref)
    assert list(world.records.saved) == [(FIRST, ref.mailbox, ref.message_id)]


def test_all_tenants_named_get_it_where_so_configured() -> None:
    world = World(route=RouteMode.ALL)
    ref = world.mail.deliver(email(to=[address(TOKEN), address(OTHER_TOKEN)]))
    assert world.pipeline.ingest_message(ref) == Stored(documents=2)
    assert {tenant for tenant, _, _ in world.records.saved} == {FIRST, SECOND}
    assert all(name.startswith(("1/", "2/")) for name in world.blobs.names())


def test_a_copy_that_was_saved_before_a_crash_is_not_saved_again() -> None:
    world = World(route=RouteMode.ALL)
    ref = world.mail.deliver(email(to=[address(TOKEN), address(OTHER_TOKEN)]))
    world.journal.trouble["save"] = [NotImplementedError()]
    with pytest.raises(Defect):
        world.pipeline.ingest_message(ref)
    world.journal.trouble["store"] = []
    assert world.pipeline.ingest_message(ref) == Stored(documents=2)
    assert world.records.row(ref).copies == 2


# The original


def test_a_new_mail_is_read_and_deleted_and_nothing_else_is_asked(world: World) -> None:
    attachments = {f"{number}.pdf": PDF + bytes([number]) for number in range(20)}
    ref = world.mail.deliver(email(attachments=attachments))
    assert world.pipeline.ingest_message(ref) == Stored(documents=20)
    asked = {"original", "message_json", "attachments", "content", "locate", "delete", "quarantine"}
    assert [step for step in world.journal.steps if step in asked] == ["original", "delete"]


def test_a_mail_for_no_tenant_costs_its_header_only(world: World) -> None:
    mail = email(to=["info@dms.example"], attachments={"large.pdf": PDF * 1000})
    ref = world.mail.deliver(mail)
    world.quarantined(ref, Reason.NO_TOKEN)
    assert "original.read" not in world.journal.steps  # the second half of the mail


def test_what_was_read_before_is_looked_for_first(world: World) -> None:
    ref = world.mail.deliver(email())
    world.journal.trouble["original"] = [GraphUnavailable("down")]
    with pytest.raises(GraphUnavailable):
        world.pipeline.ingest_message(ref)
    assert "locate" not in world.journal.steps
    world.pipeline.ingest_message(ref)
    asked = [step for step in world.journal.steps if step in {"original", "locate", "delete"}]
    assert asked == ["original", "locate", "original", "delete"]


@pytest.mark.parametrize("checks_folder", [True, False])
def test_whether_exchange_checks_the_folder_changes_nothing(*, checks_folder: bool) -> None:
    world = World()
    world.mail.checks_folder = checks_folder
    ref = world.mail.deliver(email(to=["info@dms.example"]))
    world.quarantined(ref, Reason.NO_TOKEN)
    world.quarantined(ref, Reason.NO_TOKEN)  # a late notification
    assert world.pipeline.ingest_message(ref, assigned=SECOND) == Stored(documents=1)
    assert world.mail.folder(ref) is None


def test_the_time_of_the_listing_counts_before_the_headers(world: World) -> None:
    ref = world.mail.deliver(email())
    listed = [item for page in world.mail.list_inbox(ref.mailbox) for item in page]
    world.records.enqueue(ref.mailbox, listed, outstanding=0)
    world.pipeline.ingest_message(ref)
    assert world.saved(ref).message.received_at == listed[0].received_at


def test_without_a_listing_the_newest_received_header_has_the_time(world: World) -> None:
    mail = email()
    mail["Date"] = "Mon, 02 Mar 2026 10:00:00 +0100"
    mail["Received"] = "from a by b; Mon, 02 Mar 2026 10:00:05 +0100"
    ref = world.mail.deliver(mail)
    world.pipeline.ingest_message(ref)
    assert world.saved(ref).message.received_at == datetime(2026, 3, 2, 9, 0, 5, tzinfo=UTC)


def test_a_second_attempt_that_reads_other_bytes_meets_no_conflict(world: World) -> None:
    ref = world.mail.deliver(email())
    world.journal.trouble["save"] = [DatabaseUnavailable("down")]
    with pytest.raises(DatabaseUnavailable):
        world.pipeline.ingest_message(ref)
    changed = world.mail.mime(ref).replace(b"==", b"=_")
    assert changed != world.mail.mime(ref)
    world.mail.change_mime(ref, changed)
    assert world.pipeline.ingest_message(ref) == Stored(documents=1)
    saved = world.saved(ref)
    assert b"".join(world.blobs.read(saved.original.name)) == changed
    assert all(part.blob is None or part.blob.name.startswith(saved.original.name[:-13]) for part in saved.parts)


@pytest.mark.parametrize("mime", [b"", b"\r\n\r\n", b"no header at all\r\n\r\nbody"])
def test_an_answer_without_a_header_is_no_mail(world: World, mime: bytes) -> None:
    ref = world.mail.deliver(email())
    world.mail.change_mime(ref, mime)
    with pytest.raises(ContentInterrupted, match="no header"):
        world.pipeline.ingest_message(ref)
    assert (world.mail.folder(ref), world.records.row(ref).defects) == ("inbox", 0)


def test_one_download_is_for_all_tenants() -> None:
    world = World(route=RouteMode.ALL)
    ref = world.mail.deliver(email(to=[address(TOKEN), address(OTHER_TOKEN)]))
    world.pipeline.ingest_message(ref)
    assert world.journal.steps.count("original") == 1


# Without MIME


def test_a_mail_that_exchange_does_not_convert_is_read_from_graphs_message(world: World) -> None:
    ref = world.mail.deliver(email(attachments={"smime.p7m": PDF}))
    world.mail.unconvertible = True
    assert world.pipeline.ingest_message(ref) == Stored(documents=1)
    saved = world.saved(ref)
    assert saved.message.form is OriginalForm.GRAPH_JSON
    assert saved.original.name.endswith("/original.json")
    kept = json.loads(b"".join(world.blobs.read(saved.original.name)))
    assert {"name": "Subject", "value": "Rechnung 4711"} in kept["internetMessageHeaders"]
    (document,) = saved.parts
    assert document.blob is not None
    assert b"".join(world.blobs.read(document.blob.name)) == PDF


def test_a_500_without_a_code_is_graphs_trouble_first_and_the_mails_in_the_end(world: World) -> None:
    ref = world.mail.deliver(email())
    for _ in range(ATTEMPTS_WITH_500 - 1):
        world.journal.trouble["original"] = [GraphServerError("500")]
        with pytest.raises(GraphServerError):
            world.pipeline.ingest_message(ref)
    world.journal.trouble["original"] = [GraphServerError("500")]
    assert world.pipeline.ingest_message(ref) == Stored(documents=1)
    assert world.saved(ref).message.form is OriginalForm.GRAPH_JSON


def test_a_mail_without_mime_is_routed_by_its_recipients(world: World) -> None:
    world.mail.unconvertible = True
    ref = world.mail.deliver(email(to=["info@dms.example"]))
    world.quarantined(ref, Reason.NO_TOKEN)


def test_an_attachment_that_comes_empty_against_its_listing_starts_over(world: World) -> None:
    ref = world.mail.deliver(email(attachments={"scan.pdf": PDF * 100}))
    world.mail.unconvertible = True
    world.mail.empty_contents = 1
    assert world.pipeline.ingest_message(ref) == Stored(documents=1)
    assert world.journal.steps.count("content") == 2


def test_cloud_attachments_are_listed_where_the_header_promises_an_attachment_that_is_not_there(world: World) -> None:
    mail = email(attachments={})
    mail["X-MS-Has-Attach"] = "yes"
    ref = world.mail.deliver(mail)
    world.mail.link(ref, "Plan.pdf")
    world.pipeline.ingest_message(ref)
    assert (Disposition.LINK, "Plan.pdf") in [(part.disposition, part.name) for part in world.saved(ref).parts]


# What other programs do to mails


def case(name: str) -> EmailMessage:
    return message_from_bytes(payload_file(f"mails/{name}.eml"), _class=EmailMessage, policy=policy.SMTP)


def test_a_redirected_mail_is_routed_by_what_the_redirect_wrote(world: World) -> None:
    ref = world.mail.deliver(case("redirected_token_in_other_headers"))
    assert world.pipeline.ingest_message(ref) == Stored(documents=1)
    assert list(world.records.saved) == [(FIRST, ref.mailbox, ref.message_id)]


@pytest.mark.parametrize(
    "header",
    [
        *(f"{name}: info@dms.example, upload.{TOKEN}@dms.example" for name in REDIRECT_HEADERS),
        f"Received: from a by b for <upload.{TOKEN}@dms.example>; Mon, 02 Mar 2026 10:00:05 +0100",
    ],
)
def test_each_header_of_a_redirect_routes(world: World, header: str) -> None:
    mail = email(to=["info@dms.example"])
    mail[header.partition(":")[0]] = header.partition(": ")[2]
    assert world.pipeline.ingest_message(world.mail.deliver(mail)) == Stored(documents=1)


# From the first to count to the last: the headers of people's programs before those of servers.
IN_ORDER = [
    "To",
    "Cc",
    "X-Forwarded-To",
    "X-Forwarded-For",
    "Resent-To",
    "Delivered-To",
    "X-Original-To",
    "Envelope-To",
    "Received",
]


@pytest.mark.parametrize(("first", "second"), list(pairwise(IN_ORDER)))
def test_of_two_headers_with_a_token_the_one_that_counts_first_routes(world: World, first: str, second: str) -> None:
    mail = email()
    del mail["To"]
    for name, token in ((second, OTHER_TOKEN), (first, TOKEN)):
        received = f"from a by b for <{address(token)}>; Mon, 02 Mar 2026 10:00:05 +0100"
        mail[name] = received if name == "Received" else address(token)
    assert world.pipeline.ingest_message(world.mail.deliver(mail)) == Stored(documents=1)
    assert [tenant for tenant, _, _ in world.records.saved] == [FIRST]


def test_a_token_in_to_counts_before_those_of_a_redirect(world: World) -> None:
    mail = email(cc=[address(OTHER_TOKEN)], to=["info@dms.example"])
    mail["Delivered-To"] = address(TOKEN)
    world.pipeline.ingest_message(world.mail.deliver(mail))
    assert [tenant for tenant, _, _ in world.records.saved] == [SECOND]


def test_a_redirect_to_a_token_of_no_tenant_leaves_the_mail_to_the_token_in_to(world: World) -> None:
    mail = email()
    mail["Delivered-To"] = address("ab" * 16)
    world.pipeline.ingest_message(world.mail.deliver(mail))
    assert [tenant for tenant, _, _ in world.records.saved] == [FIRST]


def test_a_display_name_in_the_header_of_a_redirect_never_routes(world: World) -> None:
    mail = email()
    mail["X-Forwarded-To"] = f'"{address(OTHER_TOKEN)}" <office@b.example>'
    world.pipeline.ingest_message(world.mail.deliver(mail))
    assert [tenant for tenant, _, _ in world.records.saved] == [FIRST]


def fresh(mail: EmailMessage, ago: timedelta = timedelta()) -> EmailMessage:
    mail["Received"] = f"from a by b; {format_datetime(datetime.now(UTC) - ago)}"
    return mail


def scanned(name: str, *, attached: bool = False) -> EmailMessage:
    if not attached:
        return fresh(email(attachments={name: b"Your attachments are being scanned."}))
    mail = email(attachments={})
    mail.add_attachment(email(subject=name, attachments={}))
    return fresh(mail)


@pytest.mark.parametrize("attached", [False, True])
@pytest.mark.parametrize(
    "name", ["Safe Attachments Scan In Progress", "ATP Scan In Progress", "atp scan in progress.eml"]
)
@pytest.mark.parametrize("unconvertible", [False, True])
def test_a_placeholder_of_a_scan_is_no_document(
    world: World, name: str, *, attached: bool, unconvertible: bool
) -> None:
    world.mail.unconvertible = unconvertible
    ref = world.mail.deliver(scanned(name, attached=attached))
    with pytest.raises(AttachmentPending):
        world.pipeline.ingest_message(ref)
    assert (world.mail.folder(ref), world.records.row(ref).defects) == ("inbox", 0)
    assert world.records.saved == {}


def test_the_attempts_for_an_attachment_that_is_still_scanned_grow_apart(world: World) -> None:
    ref = world.mail.deliver(scanned("ATP Scan In Progress"))
    distances = []
    for _ in range(4):
        with pytest.raises(AttachmentPending):
            world.pipeline.ingest_message(ref)
        world.records.note_poisoned(ref)  # as after the queue's own few attempts
        next_try = world.records.row(ref).next_try_at
        assert next_try is not None
        distances.append(next_try - world.records.now)
        world.records.now = next_try
    assert distances == [distances[0] * 2**tried for tried in range(4)]
    assert distances[0] > 0


def test_the_sample_of_a_placeholder_waits(world: World) -> None:
    with pytest.raises(AttachmentPending):
        world.pipeline.ingest_message(world.mail.deliver(fresh(case("ATP_placeholder"))))


def test_attachment_pending_heals_when_the_scan_has_ended(world: World) -> None:
    waiting = fresh(email(attachments={"ATP Scan In Progress": b"x"}), ago=ATTACHMENT_PATIENCE + timedelta(minutes=1))
    ref = world.mail.deliver(waiting)
    world.quarantined(ref, Reason.ATTACHMENT_PENDING)
    world.mail.change_mime(ref, email().as_bytes())  # the scan has ended
    world.mail.move(ref, "inbox")
    assert world.pipeline.ingest_message(ref) == Stored(documents=1)


def test_a_mail_that_asks_for_a_receipt_is_marked_as_read_before_it_is_deleted(world: World) -> None:
    world.pipeline.ingest_message(world.mail.deliver(case("read_receipt_requested")))
    steps = world.journal.steps
    assert steps.index("save") < steps.index("mark_read") < steps.index("delete")


def test_a_mail_that_graph_refuses_to_mark_as_read_leaves_the_inbox_all_the_same(world: World) -> None:
    ref = world.mail.deliver(case("read_receipt_requested"))
    world.journal.trouble["mark_read"] = [GraphRefused("mark_read", 400, "ErrorInvalidRequest")]
    assert isinstance(world.pipeline.ingest_message(ref), Stored)
    assert world.mail.folder(ref) is None


def test_no_other_mail_costs_that_request(world: World) -> None:
    world.pipeline.ingest_message(world.mail.deliver(email()))
    assert "mark_read" not in world.journal.steps


# Every way out of Quarantine


def released(world: World, ref: MessageRef) -> None:
    """An operator releases the mail, and it is stored as if it had just come in."""
    world.mail.move(ref, "inbox")
    world.journal.trouble.clear()
    assert world.pipeline.ingest_message(ref) == Stored(documents=1)
    assert (world.mail.folder(ref), world.records.row(ref).reason) == (None, None)


def test_no_token_heals_when_the_settings_match_the_address(world: World) -> None:
    ref = world.mail.deliver(email(to=[f"rechnung.{TOKEN}@dms.example"]))
    world.quarantined(ref, Reason.NO_TOKEN)
    world.pattern = r"^rechnung[.](?P<token>[a-z0-9]+)@"
    world.restarted()
    released(world, ref)


def test_unknown_token_heals_when_the_tenant_is_there(world: World) -> None:
    token = "ab" * 16
    ref = world.mail.deliver(email(to=[address(token)]))
    world.quarantined(ref, Reason.UNKNOWN_TOKEN)
    world.records.tenants = {**TENANTS, token: (FIRST, True)}
    released(world, ref)


def test_unreadable_heals_when_exchange_can_read_the_mail(world: World) -> None:
    ref = world.mail.deliver(email())
    world.mail.unconvertible = True
    world.journal.trouble["message_json"] = [Rejected(Reason.UNREADABLE)]
    world.quarantined(ref, Reason.UNREADABLE)
    world.mail.unconvertible = False
    released(world, ref)


@pytest.mark.parametrize("trouble", [RuntimeError("defect"), BlobConflict("other content")])
def test_processing_failed_heals_when_the_defect_is_mended(world: World, trouble: Exception) -> None:
    ref = world.mail.deliver(email())
    world.journal.trouble["store"] = [trouble] * DEFECT_LIMIT
    for _ in range(DEFECT_LIMIT):
        with pytest.raises(Defect):
            world.pipeline.ingest_message(ref)
    world.quarantined(ref, Reason.PROCESSING_FAILED)
    released(world, ref)


def test_tenant_inactive_heals_when_the_tenant_is_active_again(world: World) -> None:
    ref = world.mail.deliver(email(to=[address(OFF_TOKEN)]))
    world.quarantined(ref, Reason.TENANT_INACTIVE)
    world.records.tenants = {**TENANTS, OFF_TOKEN: (OFF, True)}
    released(world, ref)


def test_sender_not_allowed_heals_by_the_release_of_a_person(world: World) -> None:
    world.records.refusing = {FIRST}
    ref = world.mail.deliver(email())
    world.quarantined(ref, Reason.SENDER_NOT_ALLOWED)
    released(world, ref)


def test_crashed_repeatedly_heals_when_the_process_survives_the_mail(world: World) -> None:
    ref = world.mail.deliver(email())
    for _ in range(CRASH_LIMIT):
        world.records.claim(ref)
        world.records.crash(ref)
    world.quarantined(ref, Reason.CRASHED_REPEATEDLY)
    world.restarted()
    released(world, ref)


def test_too_costly_heals_when_the_mail_fits_into_its_time_and_its_overruns_start_from_zero(world: World) -> None:
    ref = world.mail.deliver(email())
    slow = partial(overdue_while_another_is_filed, world)
    for _ in range(OVERRUN_LIMIT):
        world.journal.trouble["original"] = [slow]
        with pytest.raises(Later):
            world.pipeline.ingest_message(ref)
    world.records.saved.clear()  # the other mails
    world.quarantined(ref, Reason.TOO_COSTLY)
    world.mail.move(ref, "inbox")
    world.journal.trouble["original"] = [slow]
    with pytest.raises(Later):  # one overrun after the release is the first
        world.pipeline.ingest_message(ref)
    released(world, ref)


def test_every_reason_has_a_test_of_its_way_out() -> None:
    missing = [reason for reason in Reason if not any(name.startswith(f"test_{reason}_heals_") for name in globals())]
    assert missing == []


# Refusals


REFUSED = GraphRefused("get_mime", 400, "ErrorInternalServerTransientError")


def test_a_refusal_counts_where_another_mail_went_through_meanwhile(world: World) -> None:
    ref = world.mail.deliver(email(subject="refused"))
    for tried in range(1, DEFECT_LIMIT + 1):
        world.pipeline.ingest_message(world.mail.deliver(email(subject=str(tried))))
        world.journal.trouble["original"] = [REFUSED]
        with pytest.raises(Defect):
            world.pipeline.ingest_message(ref)
        assert world.records.row(ref).defects == tried


def test_a_refusal_of_every_mail_counts_against_none(world: World, caplog: pytest.LogCaptureFixture) -> None:
    refs = [world.mail.deliver(email(subject=str(number))) for number in range(10)]
    for ref in refs * (2 * DEFECT_LIMIT):
        world.journal.trouble["original"] = [REFUSED]
        with pytest.raises(GraphUnavailable):
            world.pipeline.ingest_message(ref)
    assert {world.records.row(ref).defects for ref in refs} == {0}
    assert "graph.refuses_operation" in caplog.text
    assert [world.pipeline.ingest_message(ref) for ref in refs] == [Stored(documents=1)] * 10


@pytest.mark.parametrize("operation", ["locate_message", "get_inbox"])
def test_an_incident_of_graph_that_refuses_the_look_for_mails_too_brings_none_to_quarantine(
    world: World, operation: str
) -> None:
    ref = world.mail.deliver(email(subject="refused"))
    world.journal.trouble["original"] = [REFUSED]
    with pytest.raises(GraphUnavailable):
        world.pipeline.ingest_message(ref)
    for tried in range(2 * DEFECT_LIMIT):
        world.pipeline.ingest_message(world.mail.deliver(email(subject=str(tried))))
        world.journal.trouble["locate"] = [GraphRefused(operation, 400, "ErrorInternalServerTransientError")]
        with pytest.raises(GraphUnavailable):
            world.pipeline.ingest_message(ref)
    assert world.records.row(ref).defects == 0
    assert world.pipeline.ingest_message(ref) == Stored(documents=1)


@pytest.mark.parametrize(
    ("step", "operation"),
    [("message_json", "get_message"), ("attachments", "list_attachments"), ("content", "get_attachment")],
)
def test_a_refusal_of_graphs_own_message_counts_only_where_another_mail_was_read_so_meanwhile(
    world: World, step: str, operation: str
) -> None:
    refused = GraphRefused(operation, 400, "ErrorInternalServerTransientError")
    world.pipeline.ingest_message(world.mail.deliver(email(subject="as MIME")))
    world.mail.unconvertible = True
    ref = world.mail.deliver(email(subject="refused"))
    world.journal.trouble[step] = [refused]
    with pytest.raises(GraphUnavailable):
        world.pipeline.ingest_message(ref)
    assert world.records.row(ref).defects == 0
    world.pipeline.ingest_message(world.mail.deliver(email(subject="not as MIME")))
    world.journal.trouble[step] = [refused]
    with pytest.raises(Defect):
        world.pipeline.ingest_message(ref)
    assert world.records.row(ref).defects == 1


# Once in effect


def test_a_duplicate_stores_nothing_twice(world: World) -> None:
    ref = world.mail.deliver(email())
    world.pipeline.ingest_message(ref)
    blobs = world.blobs.names()
    assert world.pipeline.ingest_message(ref) == CleanedUp()
    assert world.blobs.names() == blobs
    assert world.journal.steps.count("save") == 1


def moved_in_outlook(world: World, ago: timedelta) -> list[str]:
    """Ingest a mail of some time ago under two ids: one document; return the steps of the second one."""
    mail = email()
    mail["Received"] = f"from a by b; {format_datetime(datetime.now(UTC) - ago)}"
    world.pipeline.ingest_message(world.mail.deliver(mail))
    world.journal.steps.clear()
    ref = world.mail.deliver(mail)
    assert world.pipeline.ingest_message(ref) == Stored(documents=0)
    assert world.saved(ref).parts == ()
    return list(world.journal.steps)


def test_an_older_mail_that_comes_in_under_a_new_id_is_linked_before_an_upload(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ingest")
    steps = moved_in_outlook(world, timedelta(hours=1))
    assert "message.linked" in caplog.text
    assert "link" in steps
    assert "store" not in steps


def test_a_mail_that_has_just_arrived_is_linked_as_it_is_saved(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ingest")
    steps = moved_in_outlook(world, timedelta(minutes=1))
    assert "message.linked" in caplog.text
    assert "link" not in steps
    assert "save" in steps


@pytest.mark.parametrize("ago", [timedelta(minutes=1), timedelta(hours=1)])
def test_a_linked_mail_stores_the_lost_blobs_of_its_first_copy_again_before_it_is_deleted(
    world: World, ago: timedelta
) -> None:
    mail = email(attachments={"a.pdf": PDF, "b.pdf": PDF + b"2"})
    mail["Received"] = f"from a by b; {format_datetime(datetime.now(UTC) - ago)}"
    first = world.mail.deliver(mail)
    world.pipeline.ingest_message(first)
    copy = world.saved(first)
    before = {blob.name for blob in world.records.blobs_of(copy)}
    for name in sorted(before)[::2]:
        world.blobs.lose(name)
    ref = world.mail.deliver(mail)
    assert world.pipeline.ingest_message(ref) == Stored(documents=0)
    assert before <= set(world.blobs.names())
    assert world.mail.folder(ref) is None


def test_a_mail_that_cannot_give_a_lost_blob_back_goes_to_quarantine_and_not_away(world: World) -> None:
    """Exchange gives other bytes: the original on record is lost. `messages restore` records the new one."""
    ref = stored_before_a_crash(world, email())
    world.blobs.lose(world.saved(ref).original.name)
    world.mail.change_mime(ref, world.mail.mime(ref).replace(b"Subject:", b"X-Other: bytes\nSubject:"))
    for _ in range(DEFECT_LIMIT):
        with pytest.raises(Defect, match="are lost"):
            world.pipeline.ingest_message(ref)
    assert world.pipeline.ingest_message(ref) == Quarantined(reason=Reason.PROCESSING_FAILED)
    assert world.mail.folder(ref) == "Quarantine"


def test_a_new_mail_costs_no_look_at_its_blobs(world: World) -> None:
    world.pipeline.ingest_message(world.mail.deliver(email()))
    assert not {"recorded_blobs", "holds"} & set(world.journal.steps)


def test_a_second_owner_leaves_a_living_owner_alone(world: World) -> None:
    ref = world.mail.deliver(email())
    assert world.records.claim(ref)
    assert world.pipeline.ingest_message(ref) == Busy()
    assert world.mail.folder(ref) == "inbox"
    assert "original" not in world.journal.steps


def stored_before_a_crash(world: World, mail: EmailMessage) -> MessageRef:
    ref = world.mail.deliver(mail)
    world.journal.trouble["delete"] = [GraphUnavailable("down")]
    with pytest.raises(GraphUnavailable):
        world.pipeline.ingest_message(ref)
    assert world.records.row(ref).state == "stored"
    return ref


def test_what_was_stored_before_a_crash_is_filed_once_and_leaves_the_inbox(world: World) -> None:
    ref = stored_before_a_crash(world, email())
    blobs, saved = world.blobs.names(), dict(world.records.saved)
    assert world.restarted().ingest_message(ref) == CleanedUp()
    assert world.mail.folder(ref) is None
    assert world.records.row(ref).state == "deleted"
    assert (world.blobs.names(), world.records.saved) == (blobs, saved)


@pytest.mark.parametrize("state", [ClaimState.STORED, ClaimState.DELETED])
def test_a_record_that_says_stored_deletes_no_mail_that_its_tenant_does_not_have(
    world: World, state: ClaimState
) -> None:
    """A stolen login of the database can hang a copy of another tenant onto any claim."""
    ref = world.mail.deliver(email())
    mime, claim = world.mail.mime(ref), world.records.claim(ref)
    assert claim is not None
    forged = StoredBlob(container="documents", name="2/x", size=1, sha256="0" * 64)
    with world.records.tenant_context(SECOND):
        world.records.save(claim, values.message(of=ref), forged, [], last=True)
    world.records.row(ref).state, world.records.row(ref).lease_until = state, None
    assert world.pipeline.ingest_message(ref) == CleanedUp()
    assert world.mail.folder(ref) is None
    assert b"".join(world.blobs.read(world.saved(ref, FIRST).original.name)) == mime


def test_a_record_that_says_stored_sends_a_mail_without_a_tenant_to_quarantine(world: World) -> None:
    ref = world.mail.deliver(email(to=["info@dms.example"]))
    assert world.records.claim(ref)
    world.records.row(ref).state, world.records.row(ref).lease_until = ClaimState.STORED, None
    world.quarantined(ref, Reason.NO_TOKEN)


def test_a_stored_mail_that_has_left_the_inbox_is_done_and_stays_where_it_lies(world: World) -> None:
    ref = stored_before_a_crash(world, email())
    world.mail.move(ref, "Deleted Items")
    assert world.pipeline.ingest_message(ref) == CleanedUp()
    assert world.mail.folder(ref) == "Deleted Items"
    assert world.records.row(ref).state == "deleted"


def test_a_stored_mail_waits_for_no_second_turn(world: World) -> None:
    ref = stored_before_a_crash(world, email())
    world.records.over_budget.add(FIRST)
    assert world.pipeline.ingest_message(ref) == CleanedUp()
    assert world.mail.folder(ref) is None


def test_a_message_that_the_queue_gave_up_is_looked_for_before_it_is_read(world: World) -> None:
    ref = world.mail.deliver(email())
    world.mail.checks_folder = False
    world.records.note_poisoned(ref)
    world.mail.move(ref, "Projects")
    assert world.pipeline.ingest_message(ref) == Gone()
    assert world.mail.folder(ref) == "Projects"


def test_the_work_of_a_dead_process_is_taken_over(world: World, caplog: pytest.LogCaptureFixture) -> None:
    ref = world.mail.deliver(email())
    world.records.claim(ref)
    world.records.crash(ref)
    assert world.pipeline.ingest_message(ref) == Stored(documents=1)
    assert "claim.taken_over" in caplog.text


@pytest.mark.parametrize("step", ["original", "original.read", "store", "save", "delete"])
def test_a_slow_owner_that_was_overtaken_neither_saves_nor_deletes(world: World, step: str) -> None:
    ref = world.mail.deliver(email())

    class Overtaken(Journal):
        def step(self, name: str) -> None:
            super().step(name)
            if name == step and self.steps.count(name) == 1:
                world.records.steal(ref)

    overtaken = Overtaken()
    world.mail.journal = world.blobs.journal = world.records.journal = overtaken
    if step == "delete":  # asked for a moment before: the message is saved, so nothing is lost
        with pytest.raises(LeaseLost):
            world.pipeline.ingest_message(ref)
        assert world.records.saved
        return
    with pytest.raises(LeaseLost):
        world.pipeline.ingest_message(ref)
    assert world.records.saved == {}
    assert world.mail.folder(ref) == "inbox"


def test_a_lease_that_is_lost_during_a_long_upload_ends_it(world: World) -> None:
    ref = world.mail.deliver(email())
    world.records.lease_seconds = 0  # due for renewal with every block

    class Overtaken(Journal):
        def step(self, name: str) -> None:
            super().step(name)
            if name == "original.read":
                world.records.steal(ref)

    overtaken = Overtaken()
    world.mail.journal = world.records.journal = overtaken
    with pytest.raises(LeaseLost):
        world.pipeline.ingest_message(ref)
    assert world.blobs.names() == []


# Not ours any more


def test_a_message_that_is_gone_is_acknowledged(world: World) -> None:
    ref = world.mail.deliver(email())
    world.mail.remove(ref)
    assert world.pipeline.ingest_message(ref) == Gone()
    assert world.records.row(ref).state == "gone"


@pytest.mark.parametrize(
    "page",
    [
        b"<!DOCTYPE html>\n<style>\nbody{color:red}\na:hover{}\n</style>\n\n<h1>502 Bad Gateway</h1>",
        b'{"error": {"code": "generalException"}}',
        b"",
    ],
)
def test_a_page_in_place_of_a_mail_is_for_later_and_not_for_quarantine(world: World, page: bytes) -> None:
    ref = world.mail.deliver(email())
    mime = world.mail.mime(ref)
    world.mail.change_mime(ref, page)
    with pytest.raises(ContentInterrupted, match="no header of a mail"):
        world.pipeline.ingest_message(ref)
    assert (world.mail.folder(ref), world.records.row(ref).defects) == ("inbox", 0)
    world.mail.change_mime(ref, mime)
    assert world.pipeline.ingest_message(ref) == Stored(documents=1)


def test_a_404_that_a_second_look_contradicts_is_for_later(world: World) -> None:
    ref = world.mail.deliver(email())
    for _ in range(2 * DEFECT_LIMIT):
        world.journal.trouble["original"] = [NotFound("get_mime: Graph answered 404")]
        with pytest.raises(Later, match="not found"):
            world.pipeline.ingest_message(ref)
    assert (world.records.row(ref).state, world.records.row(ref).defects) == ("waiting", 0)
    assert world.pipeline.ingest_message(ref) == Stored(documents=1)


def test_a_message_that_a_person_moved_out_of_the_inbox_is_left_there(world: World) -> None:
    ref = world.mail.deliver(email())
    world.mail.move(ref, "Projects")
    assert world.pipeline.ingest_message(ref) == Gone()
    assert world.mail.folder(ref) == "Projects"
    assert world.records.saved == {}


def test_a_message_that_vanishes_while_it_is_quarantined_is_acknowledged(world: World) -> None:
    ref = world.mail.deliver(email(to=["info@dms.example"]))

    def vanish() -> Exception:
        world.mail.remove(ref)
        return NotFound("move_message: Graph answered 404")

    world.journal.trouble["quarantine"] = [vanish]
    world.pipeline.ingest_message(ref)
    assert world.records.row(ref).state in {"gone", "quarantined"}


def test_a_404_to_a_quarantine_that_a_second_look_contradicts_is_for_later(world: World) -> None:
    ref = world.mail.deliver(email(to=["info@dms.example"]))
    world.journal.trouble["quarantine"] = [NotFound("move_message: Graph answered 404")]
    with pytest.raises(Later, match="came back to the inbox"):
        world.pipeline.ingest_message(ref)
    assert world.pipeline.ingest_message(ref) == Quarantined(reason=Reason.NO_TOKEN)


@pytest.mark.parametrize("end", ["gone", "deleted"])
def test_a_mail_that_a_person_brings_back_while_its_claim_ends_is_taken_up_again(world: World, end: str) -> None:
    """The notification of the return meets the claim, and is acknowledged. A mail that was read shows in no listing."""
    ref = world.mail.deliver(email()) if end == "gone" else stored_before_a_crash(world, email())
    world.mail.move(ref, "Projects")

    def bring_back() -> None:
        world.mail.move(ref, "inbox")
        assert world.pipeline.ingest_message(ref) == Busy()

    world.journal.trouble[f"end.{end}"] = [bring_back]
    with pytest.raises(Later, match="came back to the inbox"):
        world.pipeline.ingest_message(ref)
    assert isinstance(world.pipeline.ingest_message(ref), Stored | CleanedUp)
    assert world.mail.folder(ref) is None
    assert world.saved(ref).parts


def test_an_operator_may_assign_a_mail_to_a_tenant_wherever_it_lies(world: World) -> None:
    ref = world.mail.deliver(email(to=["info@dms.example"]))
    world.quarantined(ref, Reason.NO_TOKEN)
    assert world.pipeline.ingest_message(ref, assigned=SECOND) == Stored(documents=1)
    assert world.mail.folder(ref) is None
    assert list(world.records.saved) == [(SECOND, ref.mailbox, ref.message_id)]


@pytest.mark.parametrize("state", [ClaimState.STORED, ClaimState.DELETED])
def test_a_mail_that_was_stored_before_is_not_deleted_on_an_assignment(world: World, state: ClaimState) -> None:
    ref = world.mail.deliver(email())
    world.journal.trouble["delete"] = [GraphUnavailable("down")]
    with pytest.raises(GraphUnavailable):
        world.pipeline.ingest_message(ref)
    world.records.row(ref).state = state
    world.mail.move(ref, "Quarantine")
    with pytest.raises(Later, match="stored before"):
        world.pipeline.ingest_message(ref, assigned=SECOND)
    assert world.mail.folder(ref) == "Quarantine"
    assert world.records.row(ref).defects == 0


def test_the_addressed_tenants_without_a_copy_are_noted_until_they_have_one(world: World) -> None:
    unknown = "ab" * 16
    ref = world.mail.deliver(email(to=[address(token) for token in (unknown, OFF_TOKEN, OTHER_TOKEN, TOKEN)]))
    world.journal.trouble["store"] = [BlobUnavailable("down")]
    with pytest.raises(BlobUnavailable):
        world.pipeline.ingest_message(ref)
    noted = world.records.passed_over[ref.mailbox, ref.message_id]
    assert noted == {unknown: "unknown_token", OFF_TOKEN: "tenant_inactive", TOKEN: "another_tenant_first"}
    world.records.tenants = {**TENANTS, unknown: (SECOND, True), OFF_TOKEN: (OFF, True)}
    world.route = RouteMode.ALL
    assert world.restarted().ingest_message(ref) == Stored(documents=3)
    assert world.records.passed_over[ref.mailbox, ref.message_id] == {}


def test_a_mail_for_one_tenant_notes_nothing(world: World) -> None:
    world.pipeline.ingest_message(world.mail.deliver(email()))
    assert "note_passed_over" not in world.journal.steps


# Old addresses


OLD = "rechnung@tischlerei.example"


@pytest.mark.parametrize(("to", "cc"), [([OLD], []), (["info@dms.example"], [OLD.upper()])])
def test_a_redirected_mail_without_a_token_finds_its_tenant_by_an_old_address(
    world: World, to: list[str], cc: list[str]
) -> None:
    world.records.old_addresses = {OLD: (SECOND, True)}
    ref = world.mail.deliver(email(to=to, cc=cc))
    assert world.pipeline.ingest_message(ref) == Stored(documents=1)
    assert list(world.records.saved) == [(SECOND, ref.mailbox, ref.message_id)]


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ([OLD, address("ab" * 16)], Reason.UNKNOWN_TOKEN),
        ([OLD, address(OFF_TOKEN)], Reason.TENANT_INACTIVE),
        (["other@tischlerei.example"], Reason.NO_TOKEN),
    ],
)
def test_an_old_address_is_asked_for_only_where_no_token_is_named(world: World, to: list[str], reason: Reason) -> None:
    world.records.old_addresses = {OLD: (SECOND, True)}
    world.quarantined(world.mail.deliver(email(to=to)), reason)


def test_a_token_goes_before_an_old_address(world: World) -> None:
    world.records.old_addresses = {OLD: (SECOND, True)}
    ref = world.mail.deliver(email(to=[OLD, address(TOKEN)]))
    assert world.pipeline.ingest_message(ref) == Stored(documents=1)
    assert list(world.records.saved) == [(FIRST, ref.mailbox, ref.message_id)]


def test_old_addresses_of_two_tenants_route_to_both_because_no_header_says_which_mailbox_redirected(
    world: World,
) -> None:
    other = "rechnung@a.example"
    world.records.old_addresses = {OLD: (SECOND, True), other: (FIRST, True)}
    ref = world.mail.deliver(email(to=[OLD], cc=[other]))
    assert world.pipeline.ingest_message(ref) == Stored(documents=2)
    assert {tenant for tenant, _, _ in world.records.saved} == {FIRST, SECOND}


def test_an_old_address_of_a_tenant_that_is_switched_off_routes_nowhere(world: World) -> None:
    world.records.old_addresses = {OLD: (OFF, False)}
    world.quarantined(world.mail.deliver(email(to=[OLD])), Reason.TENANT_INACTIVE)


# Senders


@pytest.mark.parametrize(("dmarc", "authenticated"), [("pass", True), ("fail", False)])
def test_the_verdicts_on_the_sender_stand_on_each_copy_and_lose_no_mail(
    world: World,
    dmarc: str,
    authenticated: bool,  # noqa: FBT001 - parametrized
) -> None:
    mail = email()
    mail["Authentication-Results"] = f"spf=pass smtp.mailfrom=a.example; dmarc={dmarc} header.from=supplier.example"
    ref = world.mail.deliver(mail)
    assert isinstance(world.pipeline.ingest_message(ref), Stored)
    found = world.saved(ref).message.authentication
    assert (found.dmarc, found.spf, found.sender_authenticated) == (dmarc, "pass", authenticated)


def test_a_tenant_that_refuses_the_sender_sends_the_mail_to_quarantine_before_its_content_is_read(
    world: World,
) -> None:
    world.records.refusing = {FIRST}
    world.quarantined(world.mail.deliver(email()), Reason.SENDER_NOT_ALLOWED)
    assert world.blobs.names() == []


@pytest.mark.parametrize(("dmarc", "stored"), [("pass", True), ("fail", False)])
def test_only_a_proven_sender_is_let_in_by_the_list(
    world: World,
    dmarc: str,
    stored: bool,  # noqa: FBT001 - parametrized
) -> None:
    world.records.refusing, world.records.allowed = {FIRST}, {"billing@supplier.example"}
    mail = email()
    mail["Authentication-Results"] = f"spf=pass smtp.mailfrom=a.example; dmarc={dmarc} header.from=supplier.example"
    outcome = world.pipeline.ingest_message(world.mail.deliver(mail))
    assert outcome == (Stored(documents=1) if stored else Quarantined(reason=Reason.SENDER_NOT_ALLOWED))


def test_a_mail_that_a_person_brings_back_from_quarantine_is_let_in_also_after_a_crash(world: World) -> None:
    world.records.refusing = {FIRST}
    ref = world.mail.deliver(email())
    world.pipeline.ingest_message(ref)
    world.mail.move(ref, "inbox")
    world.journal.trouble["store"] = [BlobUnavailable("down")]
    with pytest.raises(Later):
        world.pipeline.ingest_message(ref)
    assert world.restarted().ingest_message(ref) == Stored(documents=1)


def test_a_late_notification_of_a_mail_in_quarantine_lets_no_sender_in(world: World) -> None:
    world.records.refusing = {FIRST}
    ref = world.mail.deliver(email())
    world.quarantined(ref, Reason.SENDER_NOT_ALLOWED)
    world.quarantined(ref, Reason.SENDER_NOT_ALLOWED)
    assert not world.records.row(ref).sender_admitted


def test_a_late_notification_that_dies_lets_no_sender_in(world: World) -> None:
    world.records.refusing = {FIRST}
    ref = world.mail.deliver(email())
    world.quarantined(ref, Reason.SENDER_NOT_ALLOWED)
    world.records.claim(ref)
    assert not world.records.row(ref).sender_admitted
    world.records.crash(ref)
    assert world.restarted().ingest_message(ref) == Quarantined(reason=Reason.SENDER_NOT_ALLOWED)
    assert not world.records.row(ref).sender_admitted


def test_a_sender_is_let_in_for_one_stay_in_the_inbox(world: World) -> None:
    world.records.refusing = {FIRST}
    ref = world.mail.deliver(email())
    world.quarantined(ref, Reason.SENDER_NOT_ALLOWED)
    world.mail.move(ref, "inbox")
    assert world.pipeline.ingest_message(ref) == Stored(documents=1)
    assert not world.records.row(ref).sender_admitted


def test_an_owner_that_died_before_the_move_to_quarantine_lets_no_sender_in(world: World) -> None:
    world.records.refusing = {FIRST}
    ref = world.mail.deliver(email())
    world.journal.trouble["quarantine"] = [GraphUnavailable("down")]
    with pytest.raises(Later):
        world.pipeline.ingest_message(ref)
    world.quarantined(ref, Reason.SENDER_NOT_ALLOWED)


def test_a_mail_that_was_in_quarantine_for_another_reason_is_not_let_in(world: World) -> None:
    world.records.refusing = {FIRST}
    ref = world.mail.deliver(email(to=[address(later := "9" * 32)]))
    world.quarantined(ref, Reason.UNKNOWN_TOKEN)
    world.mail.move(ref, "inbox")
    world.records.tenants = {**TENANTS, later: (FIRST, True)}
    world.quarantined(ref, Reason.SENDER_NOT_ALLOWED)


def test_a_mail_that_one_of_two_tenants_lets_in_is_stored_for_both(world: World) -> None:
    world.route = RouteMode.ALL
    world.records.refusing = {SECOND}
    ref = world.mail.deliver(email(to=[address(TOKEN), address(OTHER_TOKEN)]))
    assert world.restarted().ingest_message(ref) == Stored(documents=2)


def test_a_mail_that_an_operator_assigned_needs_no_list(world: World) -> None:
    world.records.refusing = {FIRST}
    ref = world.mail.deliver(email())
    assert world.pipeline.ingest_message(ref, assigned=FIRST) == Stored(documents=1)


def test_a_mail_that_is_held_is_stored_and_deleted_like_any_other_and_counted(world: World) -> None:
    events: list[tuple[str, object]] = []
    end = log.subscribe(lambda event, fields: events.append((event, fields.get("reason"))))
    world.records.holding = {FIRST}
    ref = world.mail.deliver(email())
    assert world.pipeline.ingest_message(ref) == Stored(documents=1)
    end()
    assert world.mail.folder(ref) is None
    assert ("message.held", HeldReason.SENDER_UNKNOWN) in events


# Turns


def test_a_new_mail_beyond_its_tenants_budget_waits_in_the_inbox(world: World) -> None:
    world.records.over_budget = {FIRST}
    ref = world.mail.deliver(email())
    assert world.pipeline.ingest_message(ref) == Waits()
    assert world.mail.folder(ref) == "inbox"
    assert world.blobs.names() == []
    assert world.records.turns == {(ref.mailbox, ref.message_id): FIRST}


@pytest.mark.parametrize(("dmarc", "line"), [("pass", "billing@supplier.example"), ("fail", None)])
def test_only_a_proven_sender_has_a_line_of_its_own(world: World, dmarc: str, line: str | None) -> None:
    world.records.over_budget = {FIRST}
    mail = email()
    mail["Authentication-Results"] = f"spf=pass smtp.mailfrom=a.example; dmarc={dmarc} header.from=supplier.example"
    ref = world.mail.deliver(mail)
    assert world.pipeline.ingest_message(ref) == Waits()
    assert world.records.lines == {ref.message_id: line}


def test_a_mail_that_waits_costs_no_request_until_its_turn_comes(world: World) -> None:
    world.records.over_budget = {FIRST}
    ref = world.mail.deliver(email())
    world.pipeline.ingest_message(ref)
    world.journal.steps.clear()
    assert world.pipeline.ingest_message(ref) == Busy()
    assert world.journal.steps == ["claim"]
    (turn,) = world.records.give_turns(ref.mailbox, limit=10, outstanding=0)
    assert world.pipeline.ingest_message(turn) == Stored(documents=1)


def test_a_mail_of_the_sweep_or_of_an_operator_does_not_wait(world: World) -> None:
    world.records.over_budget = {FIRST}
    for trigger in (Trigger.SWEEP, Trigger.OPERATOR):
        ref = replace(world.mail.deliver(email()), trigger=trigger)
        assert world.pipeline.ingest_message(ref) == Stored(documents=1)


def test_a_mail_waits_for_none_of_its_tenants_where_one_is_within_its_budget() -> None:
    world = World(route=RouteMode.ALL)
    world.records.over_budget = {FIRST}
    ref = world.mail.deliver(email(to=[address(TOKEN), address(OTHER_TOKEN)]))
    assert world.pipeline.ingest_message(ref) == Stored(documents=2)
    world.records.over_budget = {FIRST, SECOND}
    ref = world.mail.deliver(email(to=[address(TOKEN), address(OTHER_TOKEN)]))
    assert world.pipeline.ingest_message(ref) == Waits()


# Quarantine


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        (["info@dms.example"], Reason.NO_TOKEN),
        ([address("ab" * 16)], Reason.UNKNOWN_TOKEN),
        ([address(OFF_TOKEN)], Reason.TENANT_INACTIVE),
        ([address("ab" * 16), address(OFF_TOKEN)], Reason.TENANT_INACTIVE),
    ],
)
def test_a_mail_that_can_not_be_routed_goes_to_quarantine(world: World, to: list[str], reason: Reason) -> None:
    world.quarantined(world.mail.deliver(email(to=to)), reason)
    assert world.blobs.names() == []


@pytest.mark.parametrize("step", ["message_json", "attachments", "content"])
def test_a_mail_that_graph_can_not_read_in_any_form_goes_to_quarantine(world: World, step: str) -> None:
    ref = world.mail.deliver(email())
    world.mail.unconvertible = True
    world.journal.trouble[step] = [Rejected(Reason.UNREADABLE)]
    world.quarantined(ref, Reason.UNREADABLE)


def test_the_reason_is_recorded_before_the_move(world: World) -> None:
    world.pipeline.ingest_message(world.mail.deliver(email(to=["info@dms.example"])))
    steps = world.journal.steps
    assert steps[steps.index("quarantine") - 1] == "renew"
    assert steps[steps.index("quarantine") + 1] == "end.quarantined"


def test_a_quarantine_that_a_crash_interrupted_is_completed(world: World) -> None:
    ref = world.mail.deliver(email(to=["info@dms.example"]))
    world.journal.trouble["end.quarantined"] = [DatabaseUnavailable("down")]
    with pytest.raises(DatabaseUnavailable):
        world.pipeline.ingest_message(ref)
    assert world.mail.folder(ref) == "Quarantine"
    assert world.pipeline.ingest_message(ref) == Quarantined(reason=Reason.NO_TOKEN)
    assert world.records.row(ref).state == "quarantined"


def test_what_was_released_from_quarantine_is_ingested_again(world: World) -> None:
    ref = world.mail.deliver(email(to=[address(OFF_TOKEN)]))
    world.quarantined(ref, Reason.TENANT_INACTIVE)
    world.records.tenants = {**TENANTS, OFF_TOKEN: (OFF, True)}
    world.mail.move(ref, "inbox")
    assert world.pipeline.ingest_message(ref) == Stored(documents=1)
    assert world.mail.folder(ref) is None
    assert world.records.row(ref).reason is None


def test_a_late_notification_of_a_quarantined_message_changes_nothing(world: World) -> None:
    ref = world.mail.deliver(email(to=["info@dms.example"]))
    world.quarantined(ref, Reason.NO_TOKEN)
    world.quarantined(ref, Reason.NO_TOKEN)


# Later


@pytest.mark.parametrize(
    ("step", "trouble"),
    [
        ("original", GraphUnavailable("down")),
        ("original", GraphThrottled("throttled")),
        ("resolve_tokens", DatabaseUnavailable("down")),
        ("store", BlobUnavailable("down")),
        ("save", DatabaseUnavailable("down")),
        ("delete", GraphUnavailable("down")),
        ("end.deleted", DatabaseUnavailable("down")),
    ],
)
def test_infrastructure_trouble_gives_the_claim_back_and_counts_against_no_mail(
    world: World, step: str, trouble: Exception
) -> None:
    ref = world.mail.deliver(email())
    for _ in range(2 * max(DEFECT_LIMIT, CRASH_LIMIT)):
        world.journal.trouble[step] = [trouble]
        with pytest.raises(type(trouble)):
            world.pipeline.ingest_message(ref)
        row = world.records.row(ref)
        assert row.lease_until is None
        assert (row.crashes, row.defects) == (0, 0)
        assert row.last_error == f"{type(trouble).__name__}: {trouble}"
        assert world.mail.folder(ref) == ("inbox" if step != "end.deleted" else None)
    world.pipeline.ingest_message(ref)
    assert world.mail.folder(ref) is None
    assert len(world.records.saved) == 1


def test_trouble_while_quarantining_comes_back_to_it(world: World) -> None:
    ref = world.mail.deliver(email(to=["info@dms.example"]))
    world.journal.trouble["quarantine"] = [GraphThrottled("throttled")]
    with pytest.raises(GraphThrottled):
        world.pipeline.ingest_message(ref)
    world.quarantined(ref, Reason.NO_TOKEN)


def test_a_download_that_breaks_off_starts_over_at_once(world: World) -> None:
    ref = world.mail.deliver(email())
    mime = world.mail.mime(ref)
    world.journal.trouble["original.read"] = [ContentInterrupted("short"), ContentInterrupted("short")]
    assert world.pipeline.ingest_message(ref) == Stored(documents=1)
    assert b"".join(world.blobs.read(world.saved(ref).original.name)) == mime


def test_a_download_that_always_breaks_off_is_for_later(world: World) -> None:
    ref = world.mail.deliver(email())
    world.journal.trouble["original.read"] = [ContentInterrupted("short")] * 99
    with pytest.raises(ContentInterrupted):
        world.pipeline.ingest_message(ref)
    assert world.blobs.names() == []
    assert world.mail.folder(ref) == "inbox"


def test_claims_that_could_not_be_given_back_are_given_back_later(world: World) -> None:
    refs = [world.mail.deliver(email(subject=str(number))) for number in range(3)]
    for ref in refs:
        world.journal.trouble["original"] = [GraphUnavailable("down")]
        world.journal.trouble["put_off"] = [DatabaseUnavailable("down")]
        with pytest.raises(GraphUnavailable):
            world.pipeline.ingest_message(ref)
    assert world.records.row(refs[-1]).lease_until is not None
    world.journal.trouble.clear()
    assert world.pipeline.ingest_message(refs[0]) == Stored(documents=1)
    rows = [world.records.row(ref) for ref in refs]
    assert [row.lease_until for row in rows] == [None] * 3
    assert [row.crashes for row in rows] == [0] * 3


def test_an_outage_of_postgres_alone_brings_no_mail_nearer_to_quarantine(world: World) -> None:
    ref = world.mail.deliver(email())
    for _ in range(2 * CRASH_LIMIT):
        world.journal.trouble["save"] = [DatabaseUnavailable("down")]
        world.journal.trouble["put_off"] = [None, DatabaseUnavailable("down")]
        with pytest.raises(DatabaseUnavailable):
            world.pipeline.ingest_message(ref)
        world.records.down = True
        with pytest.raises(DatabaseUnavailable):
            world.pipeline.ingest_message(ref)
        world.records.down = False
    assert world.pipeline.ingest_message(ref) == Stored(documents=1)


def test_a_claim_that_another_owner_took_over_is_not_given_back(world: World) -> None:
    ref = world.mail.deliver(email())
    world.journal.trouble["original"] = [GraphUnavailable("down")]
    world.journal.trouble["put_off"] = [DatabaseUnavailable("down")]
    with pytest.raises(GraphUnavailable):
        world.pipeline.ingest_message(ref)
    world.records.steal(ref)
    assert world.pipeline.ingest_message(ref) == Busy()
    assert world.records.row(ref).lease_until is not None


# Defects and crashes


def test_a_defect_counts_and_ends_in_quarantine(world: World) -> None:
    ref = world.mail.deliver(email())
    world.journal.trouble["save"] = [RuntimeError("leaked content")] * DEFECT_LIMIT
    for tried in range(1, DEFECT_LIMIT + 1):
        with pytest.raises(Defect):
            world.pipeline.ingest_message(ref)
        assert world.records.row(ref).defects == tried
        assert world.records.row(ref).last_error == "builtins.RuntimeError"
        assert world.mail.folder(ref) == "inbox"
    world.quarantined(ref, Reason.PROCESSING_FAILED)


def overdue_while_another_is_filed(world: World) -> Overdue:
    world.pipeline.ingest_message(world.mail.deliver(email()))
    return Overdue("not filed after 480 seconds")


def test_a_mail_that_takes_its_whole_time_while_others_are_filed_ends_in_quarantine(world: World) -> None:
    ref = world.mail.deliver(email())
    for tried in range(1, OVERRUN_LIMIT + 1):
        world.journal.trouble["original"] = [partial(overdue_while_another_is_filed, world)]
        with pytest.raises(Later):
            world.pipeline.ingest_message(ref)
        row = world.records.row(ref)
        assert (row.state, row.overruns, row.defects) == ("waiting", tried, 0)
        assert world.mail.folder(ref) == "inbox"
    assert world.pipeline.ingest_message(ref) == Quarantined(reason=Reason.TOO_COSTLY)
    assert world.mail.categories(ref) == (Reason.TOO_COSTLY,)


def test_the_original_of_a_mail_that_is_too_costly_to_file_is_kept(world: World) -> None:
    ref = world.mail.deliver(email())
    mime = world.mail.mime(ref)
    overdue: list[Exception] = []

    def another_is_filed() -> None:
        overdue.append(overdue_while_another_is_filed(world))

    for _ in range(OVERRUN_LIMIT):
        world.journal.trouble["original"] = [another_is_filed]
        world.journal.trouble["save"] = [None, overdue.pop]  # None: for the other mail
        with pytest.raises(Later):
            world.pipeline.ingest_message(ref)
    assert world.pipeline.ingest_message(ref) == Quarantined(reason=Reason.TOO_COSTLY)
    assert mime in [b"".join(world.blobs.read(name)) for name in world.blobs.names()]


def test_a_mail_that_takes_its_whole_time_with_slow_infrastructure_counts_nothing(world: World) -> None:
    ref = world.mail.deliver(email())
    world.pipeline.ingest_message(world.mail.deliver(email()))  # before, when the infrastructure was fast
    for _ in range(OVERRUN_LIMIT + 2):
        world.journal.trouble["save"] = [Overdue("not filed after 480 seconds")]
        with pytest.raises(Later):
            world.pipeline.ingest_message(ref)
        assert world.records.row(ref).overruns == 0
    assert isinstance(world.pipeline.ingest_message(ref), Stored)


def test_a_mail_that_kills_its_process_again_and_again_ends_in_quarantine(world: World) -> None:
    ref = world.mail.deliver(email())
    for _ in range(CRASH_LIMIT):
        world.records.claim(ref)
        world.records.crash(ref)
    world.quarantined(ref, Reason.CRASHED_REPEATEDLY)
    assert "original" not in world.journal.steps


def given_up(world: World) -> MessageRef:
    ref = world.mail.deliver(email())
    for _ in range(CRASH_LIMIT):
        world.records.claim(ref)
        world.records.crash(ref)
    return ref


def test_a_mail_given_up_that_a_person_has_moved_stays_in_its_folder(world: World) -> None:
    ref = given_up(world)
    world.mail.move(ref, "Archive")
    assert world.pipeline.ingest_message(ref) == Gone()
    assert (world.mail.folder(ref), world.mail.categories(ref)) == ("Archive", ())


def test_a_mail_given_up_keeps_the_categories_that_people_gave_it(world: World) -> None:
    ref = given_up(world)
    world.mail.categorise(ref, "Wichtig", Reason.PROCESSING_FAILED)
    assert world.pipeline.ingest_message(ref) == Quarantined(reason=Reason.CRASHED_REPEATEDLY)
    assert world.mail.categories(ref) == ("Wichtig", Reason.CRASHED_REPEATEDLY)


@pytest.mark.parametrize("trouble", [GraphUnavailable("down"), Defect("refused")])
def test_a_mail_given_up_is_quarantined_also_where_it_cannot_be_looked_at(world: World, trouble: Exception) -> None:
    ref = given_up(world)
    world.journal.trouble["locate"] = [trouble]
    world.quarantined(ref, Reason.CRASHED_REPEATEDLY)


def test_after_a_release_defects_and_crashes_start_from_zero(world: World) -> None:
    ref = world.mail.deliver(email())
    for _ in range(CRASH_LIMIT):
        world.records.claim(ref)
        world.records.crash(ref)
    world.quarantined(ref, Reason.CRASHED_REPEATEDLY)
    world.mail.move(ref, "inbox")
    assert world.pipeline.ingest_message(ref) == Stored(documents=1)


def test_a_defect_is_logged_with_frames_and_without_the_texts_of_foreign_exceptions(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    ref = world.mail.deliver(email(subject="leaked subject"))
    world.journal.trouble["save"] = [ValueError("leaked content")]
    with pytest.raises(Defect) as defect:
        world.pipeline.ingest_message(ref)
    assert "leaked" not in caplog.text
    assert "leaked" not in str(defect.value)
    assert defect.value.__suppress_context__  # or the host would print the foreign one
    assert "message.defect" in caplog.text
    assert "builtins.ValueError at attempts.py:" in caplog.text


def test_neither_tokens_nor_content_reach_the_log_of_a_stored_mail(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    world.pipeline.ingest_message(world.mail.deliver(email(subject="leaked subject")))
    assert "message.done" in caplog.text
    assert not [secret for secret in ("leaked", TOKEN, "invoice.pdf", "supplier.example") if secret in caplog.text]


# What the log says of a mail's age


def done(world: World, ref: MessageRef) -> dict[str, object]:
    """The fields of `message.done`."""
    events: list[dict[str, object]] = []
    stop = log.subscribe(lambda event, fields: events.append(dict(fields)) if event == "message.done" else None)
    try:
        world.pipeline.ingest_message(ref)
    finally:
        stop()
    (fields,) = events
    return fields


def test_the_end_of_a_mail_says_for_whom_it_was_and_how_old_it_is(world: World) -> None:
    fields = done(world, world.mail.deliver(email()))
    assert (fields["outcome"], fields["trigger"], fields["tenants"]) == ("Stored", "webhook", "1")
    assert float(str(fields["age_seconds"])) > 0
    assert "announced_after_seconds" not in fields


@pytest.mark.parametrize(
    ("seconds", "events"), [(7, 7.0), (-300, 0.0)], ids=["in order", "Graph's clock is ahead of ours"]
)
def test_the_delay_of_a_notification_is_never_negative(world: World, seconds: int, events: float) -> None:
    mail = email()
    mail["Received"] = f"from sender.example by exchange.example; {format_datetime(NOON)}"
    ref = world.mail.deliver(mail)
    at = NOON + timedelta(seconds=seconds)
    announced = replace(ref, announced=Announcement(traceparent=f"00-{'a' * 32}-{'b' * 16}-01", at=at))
    assert done(world, announced)["announced_after_seconds"] == events
