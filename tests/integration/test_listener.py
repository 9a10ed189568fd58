"""The listener that the DMS copies: after a lost connection, the first look finds what was committed meanwhile."""

from __future__ import annotations

import psycopg
import pytest

from docs.examples.listen_for_documents import run
from tests.integration.databases import Database, Server
from tests.integration.stores import add_tenant, save, store_of

pytestmark = pytest.mark.shares("postgres")


class _Enough(Exception):
    """The end of the listener, which has none."""


def test_a_listener_connects_again_and_misses_no_document(server: Server, database: Database) -> None:
    tenant = add_tenant(database, "listens")
    looks: list[set[str]] = []

    with store_of(database) as store:

        def take_over() -> None:
            with psycopg.connect(database.reader_url) as dms:
                looks.append({name for (name,) in dms.execute("select name from ingest.delivered")})
            match len(looks):
                case 1:
                    save(store, tenant, "announced")
                case 2:
                    with server.admin(database) as admin:
                        ended = admin.execute(
                            "select pg_terminate_backend(pid) from pg_stat_activity"
                            " where datname = current_database() and query = 'listen ingest_document'"
                        ).fetchall()
                    assert ended == [(True,)]
                    save(store, tenant, "committed-meanwhile")
                case _:
                    raise _Enough

        with pytest.raises(_Enough):
            run(database.reader_url, take_over, reconnect_seconds=0.1)
    assert looks == [set(), {"announced.pdf"}, {"announced.pdf", "committed-meanwhile.pdf"}]
