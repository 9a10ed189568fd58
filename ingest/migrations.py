"""Brings a database to this version's schema: the SQL files of `migrations/`, by yoyo.

https://ollycope.com/software/yoyo/latest/
"""

from __future__ import annotations

from pathlib import Path

import yoyo

FOLDER = Path(__file__).parent.parent / "migrations"


def migrate(database_url: str) -> list[str]:
    """Apply what is not applied yet, each file in a transaction of its own; safe to run twice and in parallel.

    `database_url`: libpq URL of the owner. Returns the names of what was applied.
    """
    scheme, _, rest = database_url.partition("://")
    if scheme not in {"postgresql", "postgres"}:
        raise ValueError("the database URL must start with postgresql://")
    backend = yoyo.get_backend(f"postgresql+psycopg://{rest}")
    try:
        with backend.lock():
            pending = backend.to_apply(yoyo.read_migrations(str(FOLDER)))
            names = [migration.id for migration in pending]
            backend.apply_migrations(pending)
    finally:
        backend.connection.close()
    return names
