"""`status` as a person reads it."""

from dataclasses import replace
from datetime import timedelta

from commands.status import lines, sparkline
from operations.status import Hour, ReasonCount, Status, TenantVolume
from tests.fakes.values import NOON

STATUS = Status(
    waiting=3,
    tried_again=1,
    failing=2,
    oldest_seconds=1234.0,
    last_notified_at=NOON,
    last_swept_at=None,
    mails=100,
    unannounced=2,
    p50=1.25,
    p99=61.0,
    within_a_minute=0.985,
    hours=tuple(Hour(at=NOON + timedelta(hours=n), stored=n, quarantined=0, p50=None, p99=None) for n in range(3)),
    held=2,
    quarantine=(ReasonCount(reason="no_token", mails=7, new=1),),
    tenants=(TenantVolume(tenant_id=42, tenant="Tischlerei", mails=99, documents=120, bytes=12_300_000),),
)


def test_a_sparkline_has_a_bar_for_each_value() -> None:
    assert sparkline([0, 1, 4, 8]) == "·▁▄█"
    assert sparkline([0, 0]) == "··"
    assert sparkline([]) == ""


def test_every_figure_is_shown() -> None:
    shown = "\n".join(lines(STATUS))
    for figure in (
        "3 mails, oldest 0:20:34 old",
        "2 of them were tried in vain",
        "1.2 s",
        "0:01:01",
        "98.5%",
        "2 of them",
        "no_token",
        "7  1 new",
        "2 mails wait for an approval",
        "12.3 MB",
    ):
        assert figure in shown


def test_an_empty_system_has_no_figures_and_no_error() -> None:
    empty = replace(
        STATUS,
        waiting=0,
        failing=0,
        oldest_seconds=None,
        p50=None,
        p99=None,
        within_a_minute=None,
        hours=(),
        quarantine=(),
        tenants=(),
    )
    shown = "\n".join(lines(empty))
    assert "oldest none" in shown
    assert "median unknown" in shown
    assert "Tenants" not in shown
    assert "Failing" not in shown
