"""The tenant of a mail: tokens among To and Cc, else those of a redirect, and nothing else."""

import re
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.codes import PassedOver, Reason
from ingest.errors import Rejected
from ingest.model.tenant import Tenant, TokenMatch
from ingest.routing import (
    MOST_PASSED_OVER,
    Addressing,
    Resolved,
    candidate_tokens,
    check_sender,
    choose_tenants,
    normal_token,
    passed_over,
)
from ingest.settings import DEFAULT_ADDRESS_PATTERN, RouteMode
from tests.fakes.values import OTHER_TOKEN, TOKEN, message

PATTERN = re.compile(DEFAULT_ADDRESS_PATTERN, re.IGNORECASE)
DOMAINS = frozenset({"dms.example"})
FIRST, SECOND = Tenant(id=1), Tenant(id=2)


def address(token: str, domain: str = "dms.example") -> str:
    return f"upload.{token}@{domain}"


def tokens(*to: str, cc: tuple[str, ...] = (), pattern: re.Pattern[str] = PATTERN) -> tuple[str, ...]:
    return candidate_tokens(message(to=to, cc=cc), Addressing(pattern=pattern))


def match(position: int, tenant: Tenant, *, active: bool = True) -> TokenMatch:
    return TokenMatch(position=position, tenant=tenant, active=active)


def resolved(candidates: tuple[str, ...], matches: Iterable[TokenMatch], mode: RouteMode) -> Resolved:
    in_order = tuple(sorted(matches, key=lambda one: one.position))
    return Resolved(candidates=candidates, by_token=bool(candidates), matches=in_order, mode=mode)


def reason_of(candidates: tuple[str, ...], *matches: TokenMatch) -> Reason:
    with pytest.raises(Rejected) as rejected:
        choose_tenants(resolved(candidates, matches, RouteMode.FIRST))
    return rejected.value.reason


def test_all_of_to_come_before_all_of_cc_in_their_order() -> None:
    found = tokens(address("token-to-1"), address("token-to-2"), cc=(address("token-cc-1"), address("token-cc-2")))
    assert found == ("tokento1", "tokento2", "tokencc1", "tokencc2")


def test_a_token_only_in_cc_is_found() -> None:
    assert tokens("info@dms.example", cc=(address(TOKEN),)) == (TOKEN,)


def test_the_token_that_a_redirect_wrote_counts_beside_to_and_cc_only_where_all_tenants_get_a_copy() -> None:
    named = message(to=(address(TOKEN), "office@b.example"))
    mail = replace(named, redirected_to=("office@b.example", address(OTHER_TOKEN)))
    assert candidate_tokens(mail, Addressing(pattern=PATTERN)) == (TOKEN,)
    assert candidate_tokens(mail, Addressing(pattern=PATTERN, route=RouteMode.ALL)) == (TOKEN, OTHER_TOKEN)


def test_a_redirect_to_a_token_of_to_or_cc_changes_no_order() -> None:
    mail = replace(message(to=(address(TOKEN), address(OTHER_TOKEN))), redirected_to=(address(OTHER_TOKEN),))
    assert candidate_tokens(mail, Addressing(pattern=PATTERN)) == (TOKEN, OTHER_TOKEN)


def test_a_token_named_twice_counts_once_where_it_was_named_first() -> None:
    assert tokens(address(TOKEN), address(OTHER_TOKEN), address(TOKEN.upper())) == (TOKEN, OTHER_TOKEN)


@pytest.mark.parametrize(
    "written",
    [
        f"upload.{TOKEN}@dms.example",
        f"upload+{TOKEN}@dms.example",
        f"UPLOAD.{TOKEN.upper()}@DMS.EXAMPLE",
        f"upload.{TOKEN}+invoices@dms.example",
        f"upload+{TOKEN}+2026@dms.example",
        f"upload.{TOKEN[:8]}-{TOKEN[8:12]}-{TOKEN[12:16]}-{TOKEN[16:20]}-{TOKEN[20:]}@dms.example",
    ],
)
def test_every_way_to_write_an_address_gives_the_same_token(written: str) -> None:
    assert tokens(written) == (TOKEN,)


@pytest.mark.parametrize(
    "stranger",
    [
        "",
        "@",
        "upload@dms.example",
        "upload.@dms.example",
        "upload.short@dms.example",
        f"upload.{'a' * 65}@dms.example",
        f"xupload.{TOKEN}@dms.example",
        f"upload-{TOKEN}@dms.example",
        f"upload.{TOKEN}",
        f"upload.{TOKEN[:16]}/{TOKEN[16:]}@dms.example",
        f"upload.{TOKEN[:16]}\0{TOKEN[16:]}@dms.example",
        f"upload.-{TOKEN}@dms.example",
    ],
)
def test_what_is_no_upload_address_has_no_token(stranger: str) -> None:
    assert tokens(stranger) == ()


def test_display_names_and_subject_never_route() -> None:
    # The model holds addresses only; text of a stranger in other places is not read.
    mail = message(to=("info@dms.example",), subject=address(TOKEN))
    assert candidate_tokens(mail, Addressing(pattern=PATTERN)) == ()


def test_only_configured_domains_count_in_any_case_of_letters() -> None:
    mail = message(to=(address(TOKEN, "elsewhere.example"), address(OTHER_TOKEN, "DMS.Example")))
    assert candidate_tokens(mail, Addressing(pattern=PATTERN, domains=DOMAINS)) == (OTHER_TOKEN,)


def test_a_domain_that_only_ends_like_ours_does_not_count() -> None:
    mail = message(to=(address(TOKEN, "evil-dms.example"), address(TOKEN, "dms.example.evil")))
    assert candidate_tokens(mail, Addressing(pattern=PATTERN, domains=DOMAINS)) == ()


def test_a_pattern_of_the_operators_own_may_leave_the_token_out() -> None:
    own = re.compile(r"^in(?:\.(?P<token>[^@]*))?@")
    assert tokens("in@dms.example", "in.@dms.example", "in.abc@dms.example", pattern=own) == ("abc",)


def test_an_unknown_token_does_not_stop_the_search() -> None:
    assert choose_tenants(resolved(("unknown", "known"), [match(2, SECOND)], RouteMode.FIRST)) == (SECOND,)


def test_a_switched_off_tenant_does_not_stop_the_search() -> None:
    found = [match(1, FIRST, active=False), match(2, SECOND)]
    assert choose_tenants(resolved(("a", "b"), found, RouteMode.FIRST)) == (SECOND,)


def test_the_tenant_named_first_gets_the_mail_in_any_order_of_the_databases_answer() -> None:
    found = [match(2, SECOND), match(1, FIRST)]
    assert choose_tenants(resolved(("a", "b"), found, RouteMode.FIRST)) == (FIRST,)


def test_all_tenants_named_get_it_where_so_configured_each_once() -> None:
    found = [match(3, FIRST), match(2, SECOND), match(1, FIRST)]
    assert choose_tenants(resolved(("a", "b", "c"), found, RouteMode.ALL)) == (FIRST, SECOND)


def test_why_a_mail_can_not_be_routed() -> None:
    assert reason_of(()) is Reason.NO_TOKEN
    assert reason_of(("unknown",)) is Reason.UNKNOWN_TOKEN
    assert reason_of(("known", "unknown"), match(1, FIRST, active=False)) is Reason.TENANT_INACTIVE


def test_each_address_that_brings_no_copy_has_its_reason() -> None:
    found = [match(2, SECOND), match(3, Tenant(id=3), active=False), match(4, FIRST), match(5, SECOND)]
    candidates = ("unknown", "second", "off", "first", "second again")
    assert passed_over(resolved(candidates, found, RouteMode.FIRST)) == {
        "unknown": PassedOver.UNKNOWN_TOKEN,
        "off": PassedOver.TENANT_INACTIVE,
        "first": PassedOver.ANOTHER_TENANT_FIRST,
    }
    assert passed_over(resolved(candidates, found, RouteMode.ALL)) == {
        "unknown": PassedOver.UNKNOWN_TOKEN,
        "off": PassedOver.TENANT_INACTIVE,
    }


def test_no_more_addresses_are_noted_than_the_limit() -> None:
    many = tuple(f"unknown{number}" for number in range(3_000))
    assert len(passed_over(resolved(many, [], RouteMode.FIRST))) == MOST_PASSED_OVER


def test_an_address_that_is_no_upload_address_is_not_passed_over() -> None:
    found = (match(2, FIRST, active=False),)
    old = Resolved(candidates=("info@x.example", "old@y.example"), by_token=False, matches=found, mode=RouteMode.ALL)
    assert passed_over(old) == {"old@y.example": PassedOver.TENANT_INACTIVE}


def refuses(tenants: tuple[Tenant, ...], *matches: TokenMatch) -> bool:
    try:
        check_sender(tenants, resolved((), list(matches), RouteMode.ALL))
    except Rejected as rejected:
        return rejected.reason is Reason.SENDER_NOT_ALLOWED
    return False


def test_a_sender_is_refused_where_every_chosen_tenant_refuses() -> None:
    one, two = replace(match(1, FIRST), refused=True), replace(match(2, SECOND), refused=True)
    assert refuses((FIRST,), one, match(2, SECOND))
    assert refuses((FIRST, SECOND), one, two)
    assert not refuses((FIRST, SECOND), one, match(2, SECOND))
    assert not refuses((FIRST,), match(1, FIRST), two)


def test_of_two_addresses_of_one_tenant_the_one_named_first_decides() -> None:
    refused = replace(match(2, FIRST), refused=True)
    assert not refuses((FIRST,), refused, match(1, FIRST))
    assert refuses((FIRST,), match(3, FIRST), refused)


written_tokens = st.from_regex(r"[a-z0-9][a-z0-9_-]{6,62}[a-z0-9]", fullmatch=True)


@given(written_tokens, st.sampled_from(".+"), st.booleans())
def test_every_token_that_the_pattern_allows_is_found(token: str, separator: str, upper: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
    written = f"upload{separator}{token}@dms.example"
    assert tokens(written.upper() if upper else written) == (normal_token(token),)


@given(st.lists(st.text(max_size=80)), st.lists(st.text(max_size=80)))
def test_strangers_addresses_break_nothing_and_give_normal_tokens_only(to: list[str], cc: list[str]) -> None:
    found = tokens(*to, cc=tuple(cc))
    assert len(set(found)) == len(found)
    assert all(token == normal_token(token) for token in found)


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 5), st.booleans()), max_size=9),
    st.sampled_from(RouteMode),
)
def test_a_chosen_tenant_was_named_and_is_active(drawn: list[tuple[int, int, bool]], mode: RouteMode) -> None:
    matches = [match(position, Tenant(id=tenant), active=active) for position, tenant, active in drawn]
    wanted = {one.tenant for one in matches if one.active}
    if not wanted:
        with pytest.raises(Rejected):
            choose_tenants(resolved(("any",), matches, mode))
        return
    chosen = choose_tenants(resolved(("any",), matches, mode))
    assert set(chosen) <= wanted
    assert len(chosen) == (len(wanted) if mode is RouteMode.ALL else 1)
