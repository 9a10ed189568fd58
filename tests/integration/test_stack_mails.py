"""Every mail of the demo goes the whole way: SMTP, Graph, webhook or sweep, queue, app, Blob and Postgres."""

import pytest

from local.demo.run import run_mails
from local.stack import Stack
from local.tenants import DEMO_TENANTS

pytestmark = pytest.mark.shares("stack")


def test_every_demo_mail_is_where_it_belongs(stack: Stack) -> None:
    tenants = [stack.add_tenant(name) for name in DEMO_TENANTS]
    verdicts = run_mails(stack, tenants)
    assert len(verdicts) >= 12
    assert {verdict.journey.mail.title: verdict.problems for verdict in verdicts if verdict.problems} == {}
