"""Blob containers as operators' commands read and open them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Protocol

from ingest import wiring
from ingest.settings import Settings

if TYPE_CHECKING:  # heavy, and not needed by a command that opens no blob
    from ingest.storage.blobs import BlobStore


class BlobReader(Protocol):
    """The blobs of a container, as far as they are read."""

    def read(self, name: str) -> Iterator[bytes]:
        """Yield a blob's content. Raises BlobMissing, BlobUnavailable."""


@contextmanager
def containers_by_name(settings: Settings) -> Iterator[Callable[[str], BlobStore]]:
    """Lend a function that opens containers of the settings' storage account by name, each once."""
    with ExitStack() as opened:

        @cache
        def container(name: str) -> BlobStore:
            return opened.enter_context(closing(wiring.blob_store(settings, name)))

        yield container


@contextmanager
def opened_containers(settings: Settings, names: Sequence[str]) -> Iterator[list[BlobStore]]:
    """Open several containers of the settings' storage account."""
    with containers_by_name(settings) as container:
        yield [container(name) for name in names]
