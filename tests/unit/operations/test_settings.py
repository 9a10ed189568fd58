"""The settings of the operators' side."""

import pytest

from ingest.errors import SettingsError
from operations.settings import RetentionSettings, operator_database_url, owner_database_url

APP = {"INGEST_DATABASE_URL": "postgresql:///app"}
OWNER = {"INGEST_OWNER_DATABASE_URL": "postgresql:///owner"}
OPERATOR = {"INGEST_OPERATOR_DATABASE_URL": "postgresql:///operator"}


def test_operators_and_owner_fall_back_on_the_next_login() -> None:
    assert operator_database_url(APP | OWNER | OPERATOR) == "postgresql:///operator"
    assert operator_database_url(APP | OWNER) == owner_database_url(APP | OWNER | OPERATOR) == "postgresql:///owner"
    assert operator_database_url(APP) == owner_database_url(APP | OPERATOR) == "postgresql:///app"
    with pytest.raises(SettingsError, match="INGEST_OWNER_DATABASE_URL must look like"):
        owner_database_url(APP | {"INGEST_OWNER_DATABASE_URL": "owner"})


def test_retention_is_off_without_a_setting() -> None:
    assert RetentionSettings.from_env({}) == RetentionSettings()


def test_days_of_retention_are_read() -> None:
    environ = {"INGEST_RETAIN_MAILS": "3650", "INGEST_RETAIN_QUARANTINE": "30", "INGEST_RETAIN_CLAIMS": " 400 "}
    assert RetentionSettings.from_env(environ) == RetentionSettings(mails=3650, quarantine=30, claims=400)


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "10 years", "36501", "٣", "9" * 5000])
def test_other_than_a_number_of_days_is_named(value: str) -> None:
    with pytest.raises(SettingsError, match="INGEST_RETAIN_MAILS must be a number of days"):
        RetentionSettings.from_env({"INGEST_RETAIN_MAILS": value})
