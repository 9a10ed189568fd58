"""Three processes drain one backlog of one mailbox, and Graph hardly ever has to say 429."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.storage.gate import PLACES
from local.stack import TIMERS_OFF, Stack
from tests.chaos.mails import mails

HOSTS = 3
MAILS = 60
# So that all of them look before the first has taken everything.
SETTINGS = {"AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.1"}


@pytest.mark.usefixtures("unmeasured")
def test_three_processes_stay_below_four_requests_at_a_time(tmp_path: Path) -> None:
    with Stack(tmp_path, hosts=HOSTS, settings=TIMERS_OFF | SETTINGS) as stack:
        tenants = [stack.add_tenant("Tenant")]
        admin = stack.admin
        assert stack.simulator is not None
        admin.set_notification_faults(delay=(3600, 3600))  # until all of them are there
        backlog = mails(1, tenants)
        for mail, _ in zip(backlog, range(MAILS), strict=False):
            admin.deliver(mail.mime, mail.recipients)
        admin.set_latency(1000)  # so long that requests meet also on a machine that does much else
        admin.reset_counters()
        admin.deliver_now()
        admin.wait_for(lambda: max(admin.requests().max_concurrent.values(), default=0) == PLACES, what="all places")
        admin.set_latency(5)  # of a Graph that is near
        stack.wait_for_empty_inbox()
        requests = admin.requests()
        assert requests.throttled < requests.total / 100
        assert max(requests.max_concurrent.values()) == PLACES
        print(f"{requests.throttled} of {requests.total} requests throttled")  # noqa: T201 - what was measured
        logs = [tmp_path / f"host-{number}.log" for number in range(1, HOSTS + 1)]  # their lines come through pipes
        admin.wait_for(lambda: all("message.done" in log.read_text() for log in logs), what="work on each host")
