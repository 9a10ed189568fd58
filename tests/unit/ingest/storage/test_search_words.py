from hypothesis import given
from hypothesis import strategies as st

from ingest.storage.search_words import MAX_TEXT, searchable, words_of


def test_numbers_and_names_fall_into_their_words() -> None:
    assert searchable("RE-2025/0314.pdf").split() == ["re", "2025", "0314", "pdf"]
    assert words_of(["Größe XXL", "anna@lieferant.example", None]) == "größe xxl anna lieferant example"


@given(st.lists(st.text() | st.none()))
def test_nothing_that_a_query_would_read_as_a_sign_is_left(texts: list[str | None]) -> None:
    words = words_of(texts)
    assert not set(words) & set("&|!():*<>'\\\"")
    assert len(words) <= MAX_TEXT
