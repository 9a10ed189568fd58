"""The output of the local stack at the terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

# Rich takes 80 columns for what is not a terminal, which is too few for the demo's table.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


@contextmanager
def step(name: str) -> Iterator[Callable[[str], None]]:
    """Say what is being done while it is, and afterwards how long it took.

    What is yielded takes a word on how far it has come.
    """
    began = time.monotonic()
    with console.status(name) as status:
        yield lambda progress: status.update(f"{name}: {progress}")
    console.print(f"  [green]✓[/] {name:<52} {time.monotonic() - began:6.1f} s")
