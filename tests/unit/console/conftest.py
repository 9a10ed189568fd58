from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from console.access import LoopbackAccess
from console.app import build
from console.service import QuarantinedMail
from operations.mails.history import MailRecord
from tests.fakes import console_service as fake
from tests.fakes.console_service import FakeService

PAGE = "http://127.0.0.1:8080"
CONTENT = "http://localhost:8080"


@pytest.fixture
def service() -> FakeService:
    return FakeService(
        mails={7: MailRecord(claim=fake.claim(), copies=[fake.copy()])},
        parts_of={1: [fake.part(1), fake.invoice_part(2)]},
        blobs={"42/aa/001": b"%PDF-1.7", "42/aa/002": b"<a/>", "42/aa/original.eml": b"Subject: x\r\n\r\nHello"},
        in_quarantine=[
            QuarantinedMail(
                key=f"k{number}",
                number=number,
                mailbox="upload@dms.cloud",
                reason=("no_token", "unknown_token")[number % 2],
                received_at=fake.NOON - timedelta(hours=number),
                sender="einkauf@kunde.example",
                subject=f"Beleg {number}",
            )
            for number in range(1, 4)
        ],
    )


@pytest.fixture
def access() -> LoopbackAccess:
    return LoopbackAccess("anna")


@pytest.fixture
def stranger(service: FakeService, access: LoopbackAccess) -> TestClient:
    hosts = ("127.0.0.1:8080", "localhost:8080")
    app = build(service, access, hosts=hosts, page_url=PAGE, content_url=CONTENT)
    return TestClient(app, base_url=PAGE, follow_redirects=False)


@pytest.fixture
def anna(stranger: TestClient, access: LoopbackAccess) -> TestClient:
    """A browser that has opened the printed link."""
    assert stranger.get("/enter", params={"key": access.key}).status_code == 303
    return stranger
