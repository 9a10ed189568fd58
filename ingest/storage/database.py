"""How every connection to Postgres is made: a server that vanished without a word is given up within half a minute."""

from __future__ import annotations

from typing import TypedDict

_CONNECT_SECONDS = 5
_SILENT_MS = 20_000  # what was sent and not acknowledged for so long is lost


class ConnectionParameters(TypedDict):
    """libpq's: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS."""

    application_name: str
    options: str
    connect_timeout: int
    keepalives_idle: int
    keepalives_interval: int
    keepalives_count: int
    tcp_user_timeout: int
    target_session_attrs: str


def parameters(application_name: str, *, options: str) -> ConnectionParameters:
    """What to connect with. `application_name` shows in pg_stat_activity; `options`: `-c` settings of the session."""
    return ConnectionParameters(
        application_name=application_name,
        options=options,
        connect_timeout=_CONNECT_SECONDS,
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
        tcp_user_timeout=_SILENT_MS,
        target_session_attrs="read-write",  # after a failover never the replica, which takes locks and no rows
    )
