"""The end of a mail and its doubled dots are found wherever the network cuts it."""

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.graph.mail.smtp import mail_data


def received(blocks: list[bytes]) -> bytes:
    async def read(_: int) -> bytes:
        return blocks.pop(0) if blocks else b""

    async def collect() -> bytes:
        return b"".join([block async for block in mail_data(read)])

    return asyncio.run(collect())


@given(
    st.lists(st.sampled_from([b"a", b".", b"..", b"\r\n", b"\r", b"\n", b"\r\n.\n"]), max_size=30).map(b"".join),
    st.lists(st.integers(min_value=1, max_value=5)),
)
def test_what_was_sent_is_what_arrives(mail: bytes, sizes: list[int]) -> None:
    mail += b"\r\n"
    wire = re.sub(rb"(\A|\r\n)\.", rb"\1..", mail) + b".\r\n"
    blocks = []
    for size in sizes:
        blocks.append(wire[:size])
        wire = wire[size:]
    assert received([block for block in [*blocks, wire] if block]) == mail


def test_a_client_that_hangs_up_sent_no_mail() -> None:
    with pytest.raises(ConnectionResetError):
        received([b"Subject: half\r\n\r\nha"])
