"""A host with a clock five minutes ahead of Postgres and Graph, or behind, stores every mail at its first attempt.

The host runs under libfaketime. Monotonic clocks stay as they are. tests/unit/test_clocks.py has the arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from local.stack import TIMERS_OFF, Stack
from local.tenants import upload_address

LIBRARY = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
MAIL = b"From: a@supplier.example\r\nTo: %s\r\nSubject: %d\r\n\r\nAnbei.\r\n"
LIFETIME = timedelta(minutes=10_080)
SKEW = timedelta(minutes=5)

# A developer's machine may lack the library. `.ci/run` installs it, so that the build machine runs these tests.
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not here: apt-get install faketime")


@pytest.fixture(scope="module")
def stack(unmeasured: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:  # noqa: ARG001 - for its effect
    with Stack(tmp_path_factory.mktemp("skew"), settings=TIMERS_OFF) as stack:
        yield stack


@pytest.mark.parametrize("offset", ["+5m", "-5m"])
def test_a_host_with_a_wrong_clock_stores_each_mail_at_its_first_attempt(stack: Stack, offset: str) -> None:
    (host,) = stack.hosts
    host.stop()
    clock = {"LD_PRELOAD": str(LIBRARY), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    clock["PYTHONPATH"] = str(Path(__file__).parent / "under_faketime")
    host.environment = {**host.environment, **clock}
    host.start()
    for subscription in stack.admin.subscriptions():
        stack.admin.remove_subscription(subscription.id)
    stack.subscribe()  # raises where Graph refuses the end that the host asks for
    (subscription,) = stack.admin.subscriptions()
    left = subscription.expires - datetime.now(UTC)
    assert LIFETIME - 4 * SKEW < left <= LIFETIME

    tenant = stack.add_tenant(f"Tenant {offset}")
    addresses = [tenant.address, tenant.address, upload_address("0" * 32)]
    ids = [
        stack.admin.deliver(MAIL % (address.encode(), number), [address])[0].id
        for number, address in enumerate(addresses)
    ]

    for message_id in ids:
        stack.wait_for_end(message_id)
    with psycopg.connect(stack.postgres.owner_url) as database:
        claims = database.execute(
            "select state, attempts, crashes, ended_at between first_seen_at and now() from ingest.claim"
            " where message_id = any(%s) order by id",
            [ids],
        ).fetchall()
        copies = database.execute("select count(*) from ingest.message where tenant_id::text = %s", [tenant.id])
        assert copies.fetchone() == (2,)
    assert sorted(claims) == [("deleted", 1, 0, True), ("deleted", 1, 0, True), ("quarantined", 1, 0, True)]
