"""Hostile bytes: no reader raises, and what goes in comes out with a disposition. Crashes found stay below."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.codes import Disposition
from tests.fuzz.targets import LIMITS, TARGETS, seeds, sort
from tests.mails.mime import file, mail, multipart, text

SEEDS = [seed for seed in seeds() if len(seed) < 16 * 1024]
CRASHES = Path(__file__).parents[1] / "fuzz" / "crashes"
thorough = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A real file with a few bytes changed, cut out or doubled."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.integers(0, 3)):
            case 0:
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=4))
            case 1:
                del data[at : at + draw(st.integers(1, 200))]
            case 2:
                data[at:at] = data[at : at + draw(st.integers(1, 200))]
            case _:
                data[at : at + 4] = draw(st.sampled_from([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\x80\0\0\0"]))
    return bytes(data)


@pytest.mark.parametrize("target", TARGETS)
@thorough
@given(data=damaged())
def test_damaged_files_raise_nothing(target: str, data: bytes) -> None:
    TARGETS[target](data)


@pytest.mark.parametrize("target", TARGETS)
@thorough
@given(data=st.binary(max_size=2000))
def test_noise_raises_nothing(target: str, data: bytes) -> None:
    TARGETS[target](data)


@pytest.mark.parametrize("path", sorted(CRASHES.glob("*")), ids=lambda path: path.name)
def test_what_once_crashed_does_not(path: Path) -> None:
    """Files are named TARGET-WHAT."""
    TARGETS[path.name.partition("-")[0]](path.read_bytes())


type Tree = bytes | tuple[str, list[Tree]]

leaves = st.binary(min_size=1, max_size=40).map(lambda data: b"Beleg " + data.hex().encode())
trees = st.recursive(
    leaves, lambda inner: st.tuples(st.sampled_from(["zip", "mail"]), st.lists(inner, max_size=4)), max_leaves=12
)


def packed(tree: Tree) -> bytes:
    if isinstance(tree, bytes):
        return tree
    kind, members = tree
    contents = [packed(member) for member in members]
    if kind == "mail":
        files = [file(f"{number}", "application/octet-stream", content) for number, content in enumerate(contents)]
        return mail("Weitergeleitet", multipart("mixed", text("Anbei.\n"), *files))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"{number}", content)
    return out.getvalue()


def count(tree: Tree, depth: int = 1) -> int:
    """The parts there are, down to where unpacking stops."""
    if isinstance(tree, bytes) or depth > LIMITS.depth:
        return 1
    return 1 + sum(count(member, depth + 1) for member in tree[1])


@thorough
@given(tree=trees)
def test_parts_in_are_dispositions_out(tree: Tree) -> None:
    parts = sort(packed(tree))
    same = sum(part.disposition is Disposition.DUPLICATE_IN_MAIL for part in parts)
    # A container that came before is not opened again, so that its parts are not met twice.
    assert len(parts) <= count(tree)
    assert len(parts) == count(tree) or same
