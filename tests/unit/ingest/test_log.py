"""Log lines that no sender can forge, and exceptions logged without the text that they quote."""

import importlib
import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest import log
from ingest.codes import Reason
from ingest.errors import Defect, GraphRefused, Rejected


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "ingest")
    return caplog


def test_a_line_is_an_event_and_its_fields(lines: pytest.LogCaptureFixture) -> None:
    log.info("message.done", mailbox="a@b", attempts=2, seconds=0.5, again=True, cause=None)
    assert lines.messages == ['message.done mailbox="a@b" attempts=2 seconds=0.5 again=True']


@pytest.mark.parametrize(
    ("tell", "level"), [(log.info, logging.INFO), (log.warning, logging.WARNING), (log.error, logging.ERROR)]
)
def test_each_function_logs_at_its_level(lines: pytest.LogCaptureFixture, tell: object, level: int) -> None:
    assert callable(tell)
    tell("event")
    assert [(record.name, record.levelno) for record in lines.records] == [("ingest", level)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text())
def test_no_value_forges_a_line(lines: pytest.LogCaptureFixture, text: str) -> None:
    lines.clear()
    log.info("event", value=text, after=1)
    (line,) = lines.messages
    assert len(line.splitlines()) == 1
    assert line.isascii()
    assert line.startswith('event value="')
    assert line.endswith('" after=1')


def test_a_percent_sign_is_one(lines: pytest.LogCaptureFixture) -> None:
    log.info("event", value="100 %s %(x)s")
    assert lines.messages == ['event value="100 %s %(x)s"']


def test_a_flood_is_cut(lines: pytest.LogCaptureFixture) -> None:
    log.info("event", value="x" * 1_000_000)
    assert len(lines.messages[0]) < 3000


def test_our_own_exceptions_are_described_by_their_text_foreign_ones_by_their_type() -> None:
    assert log.describe(GraphRefused("move", 400, "ErrorX")) == "GraphRefused: move: Graph answered 400 ErrorX"
    assert log.describe(Rejected(Reason.NO_TOKEN)) == "Rejected: rejected: no_token"
    assert log.describe(ValueError("leaked")) == "builtins.ValueError"


def broken() -> None:
    raise ValueError("leaked value")


def wrapped() -> None:
    try:
        broken()
    except ValueError as error:
        raise KeyError("leaked key") from error


def hidden() -> None:
    try:
        broken()
    except ValueError:
        raise Defect("ours") from None


def test_frames_name_the_place_and_never_the_text() -> None:
    with pytest.raises(KeyError) as raised:
        wrapped()
    told = log.frames(raised.value)
    assert told.startswith("builtins.KeyError at test_log.py:")
    assert " | caused by builtins.ValueError at test_log.py:" in told
    assert "leaked" not in told
    assert " broken" in told


def test_frames_of_an_exception_that_was_never_raised() -> None:
    assert log.frames(Defect("ours")) == "Defect: ours at "


def test_a_suppressed_context_is_left_out() -> None:
    with pytest.raises(Defect) as raised:
        hidden()
    assert "ValueError" not in log.frames(raised.value)


@pytest.mark.parametrize("name", ["urllib3.connection", "urllib3.connectionpool", "azure.core", "puremagic", "pypdf"])
def test_no_library_writes_what_strangers_wrote(name: str) -> None:
    # Each is set where its library is imported.
    importlib.import_module("ingest.graph.client")
    importlib.import_module("ingest.storage.blobs")
    importlib.import_module("ingest.documents.detection")
    importlib.import_module("ingest.documents.pdf.objects")
    assert not logging.getLogger(name).isEnabledFor(logging.INFO)
    assert name == "azure.core" or not logging.getLogger(name).isEnabledFor(logging.WARNING)
