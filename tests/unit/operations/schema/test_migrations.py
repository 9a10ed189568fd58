"""The migrations' files: one chain, numbered in its order, each with a way up and a way down."""

from __future__ import annotations

from alembic.script import ScriptDirectory

from operations.schema.migrations import FOLDER, _config, names


def test_the_migrations_are_one_chain_in_the_order_of_their_numbers() -> None:
    heads = ScriptDirectory.from_config(_config()).get_heads()
    assert len(heads) == 1, f"two migrations follow the same one: {heads}"
    assert [name.partition("_")[0] for name in names()] == [f"{number:04d}" for number in range(1, len(names()) + 1)]


def test_every_migration_has_its_three_files() -> None:
    files = {path.name for path in (FOLDER / "versions").iterdir() if path.is_file()}
    assert files == {f"{name}.{ending}" for name in names() for ending in ("py", "up.sql", "down.sql")}
