"""The console as App Service starts it."""

import logging

import pytest

from console.serve import on_app_service
from tests.fakes.values import ENVIRONMENT


def test_no_url_reaches_the_log_of_the_server(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WEBSITE_HOSTNAME", "console.example")
    monkeypatch.setenv("WEBSITE_AUTH_ENABLED", "True")
    monkeypatch.setenv("INGEST_OPERATOR_DATABASE_URL", "postgresql://anna@localhost/dms")
    monkeypatch.setattr(server := logging.getLogger("uvicorn.access"), "disabled", False)
    on_app_service()
    server.warning("GET /mails?q=anna@lieferant.example")
    assert caplog.text == ""
