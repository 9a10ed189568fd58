"""The search over a real database: words, tenants, numbers, days and states."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from operations.figures import read_figures
from operations.search import Search
from tests.fakes import values
from tests.integration.databases import Database
from tests.integration.test_isolation import Store, add_tenant, save, store_of

pytestmark = pytest.mark.shares("postgres")


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    with store_of(database) as store:
        yield store


@pytest.fixture
def search(database: Database, store: Store) -> Search:
    """Of a database with two tenants, two copies, and a mail that waits."""
    save(store, add_tenant(database, "Tischlerei Südhang"), "alpha")
    save(store, add_tenant(database, "Nordlicht GmbH"), "beta")
    assert store.claims.claim(values.ref(message_id="AAk-waits"))
    return Search(database.operator_url)


@pytest.mark.parametrize(
    ("text", "subjects"),
    [
        ("", ["beta", "alpha", None]),
        ("alp", ["alpha"]),
        ("alpha beta", []),
        ("ALPHA.pdf", ["alpha"]),
        ("nordlicht", ["beta"]),
        ("tischlerei beta", []),
        ("AAk-waits", [None]),
        ("vorgestern", []),
        ("xylophon", []),
    ],
)
def test_what_a_text_finds(search: Search, text: str, subjects: list[str | None]) -> None:
    assert {mail.subject for mail in search.find(text)} == set(subjects)


def test_a_mail_is_found_by_its_number_and_its_state(search: Search) -> None:
    (alpha,) = search.find("alpha")
    assert alpha.number in {mail.number for mail in search.find(str(alpha.number))}
    assert [mail.subject for mail in search.find("waiting")] == []
    assert alpha.documents == 1


def test_a_tenants_own_search_sees_no_other(search: Search) -> None:
    (alpha,) = search.find("alpha")
    assert [mail.subject for mail in search.find("", tenant=str(alpha.tenant_id))] == ["alpha"]
    assert search.find("beta", tenant=str(alpha.tenant_id)) == []


def test_the_figures_count_what_is_there(database: Database, search: Search) -> None:
    assert search.find("alpha")
    figures = read_figures(database.operator_url)
    assert figures.health.open == 3  # two stored and not yet deleted, one at work
    assert {volume.tenant for volume in figures.tenants} == {"Tischlerei Südhang", "Nordlicht GmbH"}
    assert sum(volume.documents for volume in figures.tenants) == 2
    assert len(figures.hours) == 48
