"""What the local stack tells the person in front of it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

console = Console(highlight=False)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Say what is being done while it is, and afterwards how long it took."""
    began = time.monotonic()
    with console.status(name):
        yield
    console.print(f"  [green]✓[/] {name:<44} {time.monotonic() - began:6.1f} s")
