"""Tenants as operators see them: the time that an attempt may take."""

import json
from datetime import timedelta
from pathlib import Path

from operations.tenants.records import HOST_TIMEOUT

ROOT = Path(__file__).parents[4]


def test_a_tenant_is_forgotten_no_earlier_than_the_host_ends_an_attempt() -> None:
    host = json.loads((ROOT / "host.json").read_text("utf-8"))
    hours, minutes, seconds = map(int, host["functionTimeout"].split(":"))
    assert timedelta(hours=hours, minutes=minutes, seconds=seconds) == HOST_TIMEOUT
