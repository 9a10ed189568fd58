"""The payloads in tests/payloads: one case a file."""

from pathlib import Path

_FOLDER = Path(__file__).parents[1] / "payloads"


def payload(name: str) -> bytes:
    """The body of `<folder>/<case>`."""
    return (_FOLDER / f"{name}.json").read_bytes()
