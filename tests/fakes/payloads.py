"""The payloads in tests/payloads: one case a file."""

from pathlib import Path

_FOLDER = Path(__file__).parents[1] / "payloads"


def payload(name: str) -> bytes:
    """The body of `<folder>/<case>`."""
    return payload_file(f"{name}.json")


def payload_file(name: str) -> bytes:
    """A file below tests/payloads."""
    return (_FOLDER / name).read_bytes()
