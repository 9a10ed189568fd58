"""Blobs: the fake and Azurite do the same."""

import hashlib
import secrets
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import pytest
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import AccountSasPermissions, BlobServiceClient, ResourceTypes, generate_account_sas

from ingest.errors import BlobConflict, BlobUnavailable, ContentInterrupted
from ingest.model.blob import StoredBlob
from ingest.ports import UPLOAD_BLOCK as BLOCK
from ingest.ports import Blobs
from ingest.storage.blobs import BlobStore
from tests.fakes.blobs import FakeBlobs
from tests.fakes.values import NOON

CONTAINER = "documents"


@dataclass(frozen=True)
class World:
    """Blobs of either kind, and what lies there."""

    blobs: Blobs
    read: Callable[[str], bytes]
    metadata: Callable[[str], dict[str, str]]
    names: Callable[[], list[str]]


@pytest.fixture(params=["fake", "azurite"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "fake":
        fake = FakeBlobs()
        yield World(fake, lambda name: b"".join(fake.read(name)), fake.metadata, fake.names)
        return
    connection: str = request.getfixturevalue("blob_service")
    store = BlobStore.connect(container=CONTAINER, connection_string=connection, account_url=None)
    with BlobServiceClient.from_connection_string(connection).get_container_client(CONTAINER) as container:
        with suppress(ResourceExistsError):  # made by the first test
            container.create_container()
        yield World(
            store,
            lambda name: b"".join(store.read(name)),
            lambda name: dict(container.get_blob_client(name).get_blob_properties().metadata),
            lambda: list(container.list_blob_names()),
        )
    store.close()


@pytest.fixture
def name() -> str:
    return f"1/{secrets.token_hex(16)}/001"


def in_pieces(content: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def put(blobs: Blobs, name: str, content: bytes, *, pieces: int = 300_000, shown: str = "") -> StoredBlob:
    sha256 = hashlib.sha256(content).hexdigest()
    return blobs.store(name, in_pieces(content, pieces), size=len(content), sha256=sha256, metadata={"name": shown})


def interrupted(content: bytes) -> Iterator[bytes]:
    yield from in_pieces(content, 300_000)
    raise ContentInterrupted("get_mime: broke off")


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 7])
def test_content_of_any_length_is_stored_whole(world: World, name: str, size: int) -> None:
    content = secrets.token_bytes(size)
    stored = put(world.blobs, name, content)
    assert (stored.name, stored.size, stored.sha256) == (name, size, hashlib.sha256(content).hexdigest())
    assert world.read(name) == content
    assert world.metadata(name)["sha256"] == stored.sha256


def test_pieces_may_be_empty_or_none_at_all(world: World, name: str) -> None:
    sha256 = hashlib.sha256(b"abc").hexdigest()
    world.blobs.store(name, iter([b"", b"ab", b"", b"c", b""]), size=3, sha256=sha256)
    put(world.blobs, f"{name}-none", b"")
    assert (world.read(name), world.read(f"{name}-none")) == (b"abc", b"")


@pytest.mark.parametrize("size", [0, 10, 2 * BLOCK, 2 * BLOCK + 7])
def test_the_same_content_again_is_success(world: World, name: str, size: int) -> None:
    content = secrets.token_bytes(size)
    first = put(world.blobs, name, content)
    assert put(world.blobs, name, content, pieces=200_000) == first


@pytest.mark.parametrize("sizes", [(10, 10), (10, 11), (0, 1), (3 * BLOCK, 3 * BLOCK), (10, 2 * BLOCK)])
def test_other_content_under_a_name_is_never_written(world: World, name: str, sizes: tuple[int, int]) -> None:
    first, second = (secrets.token_bytes(size) for size in sizes)
    put(world.blobs, name, first)
    with pytest.raises(BlobConflict):
        put(world.blobs, name, second)
    assert world.read(name) == first


@pytest.mark.parametrize("size", [10, BLOCK, 3 * BLOCK])
def test_content_that_breaks_off_leaves_no_blob(world: World, name: str, size: int) -> None:
    content = secrets.token_bytes(size)
    with pytest.raises(ContentInterrupted):
        world.blobs.store(name, interrupted(content), size=size, sha256=hashlib.sha256(content).hexdigest())
    assert name not in world.names()
    put(world.blobs, name, content)
    assert world.read(name) == content


@pytest.mark.parametrize("size", [10, 3 * BLOCK])
@pytest.mark.parametrize("missing", [1, -1])
def test_content_of_another_length_than_announced_leaves_no_blob(
    world: World, name: str, size: int, missing: int
) -> None:
    content = secrets.token_bytes(size)
    sha256 = hashlib.sha256(content).hexdigest()
    with pytest.raises(BlobConflict):
        world.blobs.store(name, in_pieces(content, 300_000), size=size + missing, sha256=sha256)
    assert name not in world.names()


def test_a_container_that_is_not_there_is_named_and_not_made(blob_service: str) -> None:
    store = BlobStore.connect(container="documnets", connection_string=blob_service, account_url=None)
    for use in (
        lambda: put(store, "x", b"x"),
        lambda: put(store, "x", b"x" * BLOCK + b"y"),
        lambda: list(store.read("x")),
        lambda: list(store.modified()),
        lambda: list(store.names("1/")),
        lambda: store.tags("x"),
        lambda: store.must_be_unprotected("x", now=NOON),
        lambda: store.delete("x"),
        lambda: store.delete_unused("x", since=NOON),
    ):
        with pytest.raises(BlobUnavailable, match=r"no blob container documnets \(INGEST_CONTAINER\)"):
            use()
    assert not store.has_container()
    store.close()


def test_a_shared_access_signature_is_enough_to_store(name: str, blob_service: str) -> None:
    with BlobServiceClient.from_connection_string(blob_service) as service:
        with suppress(ResourceExistsError):
            service.create_container(CONTAINER)
        signature = generate_account_sas(
            str(service.account_name),
            service.credential.account_key,
            ResourceTypes(container=True, object=True),
            AccountSasPermissions(read=True, write=True, create=True, list=True),
            expiry=datetime.now(UTC) + timedelta(minutes=10),
        )
        connection = f"BlobEndpoint={service.url};SharedAccessSignature={signature}"
    with closing(BlobStore.connect(container=CONTAINER, connection_string=connection, account_url=None)) as store:
        put(store, name, b"x")
        assert b"".join(store.read(name)) == b"x"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Rechnung 4711.pdf",
        "ä ö ü ß €",
        "😀" * 255,
        "zero\0",
        "line\r\nX-Injected: 1",
        "\u202efdp.exe",
        "100 %",
        "+ =&",
    ],
)
def test_metadata_may_be_any_text(world: World, name: str, text: str) -> None:
    put(world.blobs, name, b"x", shown=text)
    assert unquote(world.metadata(name)["name"]) == text


def test_a_name_that_was_cut_in_the_middle_of_a_character_is_no_trouble(world: World, name: str) -> None:
    # Graph counts in UTF-16: a long name may end in half of an emoji.
    put(world.blobs, name, b"x", shown="scan \ud83d")
    assert unquote(world.metadata(name)["name"]) == "scan ?"


def test_a_service_that_is_down_raises_blob_unavailable() -> None:
    account = "AccountName=dms;AccountKey=bGVha2Vk;BlobEndpoint=http://127.0.0.1:1/dms;"
    unreachable = BlobStore.connect(container=CONTAINER, connection_string=account, account_url=None, retries=0)
    with pytest.raises(BlobUnavailable) as unavailable:
        unreachable.store("x", iter([b"x"]), size=1, sha256=hashlib.sha256(b"x").hexdigest())
    assert "bGVha2Vk" not in str(unavailable.value)
    unreachable.close()


def test_a_blob_without_a_protection_is_there_or_not(blob_service: str, name: str) -> None:
    with closing(BlobStore.connect(container=CONTAINER, connection_string=blob_service, account_url=None)) as store:
        assert not store.must_be_unprotected(name, now=NOON)
        store.store(name, [b"x"], size=1, sha256=hashlib.sha256(b"x").hexdigest())
        assert store.must_be_unprotected(name, now=NOON)


def test_a_blob_that_a_later_attempt_has_found_is_in_use(blob_service: str, name: str) -> None:
    with closing(BlobStore.connect(container=CONTAINER, connection_string=blob_service, account_url=None)) as store:

        def modified() -> datetime:
            return dict(store.modified())[name]

        put(store, name, b"x", shown="a name")
        first = modified()
        while modified() == first:  # the service's times are whole seconds
            put(store, name, b"x")
        assert not store.delete_unused(name, since=first)
        assert b"".join(store.read(name)) == b"x"
        assert store.delete_unused(name, since=modified())
        assert store.delete_unused(name, since=first)


def test_a_blob_that_is_found_again_keeps_its_metadata(world: World, name: str) -> None:
    put(world.blobs, name, b"x", shown="a name")
    before = world.metadata(name)
    put(world.blobs, name, b"x", shown="another")
    assert world.metadata(name) == before


def test_a_blob_is_held_with_its_length_and_hash_only(world: World, name: str) -> None:
    stored = world.blobs.store(name, [b"content"], size=7, sha256=hashlib.sha256(b"content").hexdigest())
    assert world.blobs.holds(stored)
    assert not world.blobs.holds(replace(stored, name=f"{name}x"))
    assert not world.blobs.holds(replace(stored, sha256="00" * 32))
    assert not world.blobs.holds(replace(stored, size=8))
