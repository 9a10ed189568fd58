"""Writes Outlook's formats: messages as compound files (.msg), and winmail.dat (TNEF). For samples only.

https://learn.microsoft.com/openspecs/windows_protocols/ms-cfb
https://learn.microsoft.com/openspecs/exchange_server_protocols/ms-oxtnef
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

type Storage = Mapping[str, "bytes | Storage"]

_SECTOR, _MINI_SECTOR, _MINI_CUTOFF = 512, 64, 4096
_FREE, _END, _FAT, _NOTHING = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFF


@dataclass
class _Entry:
    name: str
    kind: int  # 1 storage, 2 stream, 5 root
    child: int = _NOTHING
    right: int = _NOTHING
    start: int = _END
    size: int = 0

    def packed(self) -> bytes:
        name = self.name.encode("utf-16-le") + b"\0\0"
        return struct.pack(
            "<64sHBBIII16sIQQIQ",
            *(name, len(name), self.kind, 1, _NOTHING, self.right, self.child, b"", 0, 0, 0, self.start, self.size),
        )


@dataclass
class _Writer:
    entries: list[_Entry] = field(default_factory=list)
    sectors: list[bytes] = field(default_factory=list)
    fat: list[int] = field(default_factory=list)
    mini: bytearray = field(default_factory=bytearray)
    mini_fat: list[int] = field(default_factory=list)

    def storage(self, content: Storage) -> int:
        """The first of the siblings; each points to the next one on its right, in the order of the format."""
        siblings = []
        for name in sorted(content, key=lambda name: (len(name), name.upper())):
            value = content[name]
            entry = _Entry(name, 2 if isinstance(value, bytes) else 1)
            siblings.append(len(self.entries))
            self.entries.append(entry)
            if isinstance(value, bytes):
                entry.size = len(value)
                entry.start = self._stream(value)
            else:
                entry.child = self.storage(value)
        for left, right in pairwise(siblings):
            self.entries[left].right = right
        return siblings[0] if siblings else _NOTHING

    def _stream(self, data: bytes) -> int:
        if not data:
            return _END
        if len(data) >= _MINI_CUTOFF:
            return self.big(data)
        start = len(self.mini_fat)
        count = -(-len(data) // _MINI_SECTOR)
        self.mini_fat += [*range(start + 1, start + count), _END]
        self.mini += data.ljust(count * _MINI_SECTOR, b"\0")
        return start

    def big(self, data: bytes, mark: int = _END) -> int:
        start = len(self.sectors)
        pieces = [data[at : at + _SECTOR].ljust(_SECTOR, b"\0") for at in range(0, len(data), _SECTOR)]
        self.sectors += pieces
        self.fat += [*range(start + 1, start + len(pieces)), mark] if pieces else []
        return start if pieces else _END


def compound_file(content: Storage) -> bytes:
    """A compound file with these streams and storages."""
    writer = _Writer()
    root = _Entry("Root Entry", 5)
    writer.entries.append(root)
    root.child = writer.storage(content)
    root.size = len(writer.mini)
    root.start = writer.big(bytes(writer.mini))
    mini_fat = struct.pack(f"<{len(writer.mini_fat)}I", *writer.mini_fat)
    mini_fat_sectors = -(-len(mini_fat) // _SECTOR)
    mini_fat_start = writer.big(mini_fat.ljust(mini_fat_sectors * _SECTOR, b"\xff"))
    empty = struct.pack("<64sHBBIII16sIQQIQ", b"", 0, 0, 0, _NOTHING, _NOTHING, _NOTHING, b"", 0, 0, 0, 0, 0)
    directory = b"".join(entry.packed() for entry in writer.entries)
    directory += empty * (-len(writer.entries) % (_SECTOR // 128))
    directory_start = writer.big(directory)
    fat_sectors, more_sectors = 1, 0
    while (len(writer.fat) + fat_sectors + more_sectors) * 4 > fat_sectors * _SECTOR:
        fat_sectors += 1
        more_sectors = max(0, -(-(fat_sectors - 109) // 127))
    fat_start = len(writer.sectors)
    more_start = fat_start + fat_sectors
    fat = [*writer.fat, *[_FAT] * (fat_sectors + more_sectors)]
    fat += [_FREE] * (fat_sectors * _SECTOR // 4 - len(fat))
    header = struct.pack(
        "<8s16sHHHHH6sIIIIIIIII",
        *(bytes.fromhex("d0cf11e0a1b11ae1"), b"", 0x3E, 3, 0xFFFE, 9, 6, b"", 0, fat_sectors, directory_start, 0),
        *(_MINI_CUTOFF, mini_fat_start, mini_fat_sectors, more_start if more_sectors else _END, more_sectors),
    )
    places = [fat_start + number for number in range(fat_sectors)]
    header += struct.pack("<109I", *(places + [_FREE] * (109 - len(places)))[:109])
    more = b""
    for number in range(more_sectors):  # the places of the FAT beyond those in the header
        some = places[109 + 127 * number : 109 + 127 * (number + 1)]
        after = more_start + number + 1 if number + 1 < more_sectors else _END
        more += struct.pack("<128I", *some, *[_FREE] * (127 - len(some)), after)
    return header + b"".join(writer.sectors) + struct.pack(f"<{len(fat)}I", *fat) + more


@dataclass(frozen=True, kw_only=True)
class OutlookFile:
    """An attachment of an Outlook message: a file, or another message."""

    name: str
    content_type: str = ""
    content: bytes = b""
    content_id: str = ""
    message: OutlookMessage | None = None


@dataclass(frozen=True, kw_only=True)
class OutlookMessage:
    """A message as Outlook keeps it."""

    subject: str
    body: str
    html: bytes = b""
    files: Sequence[OutlookFile] = ()


def msg(message: OutlookMessage) -> bytes:
    """The message as a .msg file."""
    return compound_file({**_message_storage(message, header=32), "__nameid_version1.0": {}})


def _message_storage(message: OutlookMessage, *, header: int) -> dict[str, bytes | Storage]:
    streams: dict[str, bytes | Storage] = {
        "__properties_version1.0": bytes(header),
        "__substg1.0_001A001F": _utf16("IPM.Note"),
        "__substg1.0_0037001F": _utf16(message.subject),
        "__substg1.0_1000001F": _utf16(message.body),
    }
    if message.html:
        streams["__substg1.0_10130102"] = message.html
    for number, file in enumerate(message.files):
        streams[f"__attach_version1.0_#{number:08X}"] = _attachment_storage(file)
    return streams


def _attachment_storage(file: OutlookFile) -> Storage:
    streams: dict[str, bytes | Storage] = {"__properties_version1.0": bytes(8)}
    if file.message is not None:
        streams["__substg1.0_3001001F"] = _utf16(file.name)
        streams["__substg1.0_3701000D"] = _message_storage(file.message, header=24)
        return streams
    streams["__substg1.0_3707001F"] = _utf16(file.name)
    streams["__substg1.0_370E001F"] = _utf16(file.content_type)
    streams["__substg1.0_37010102"] = file.content
    if file.content_id:
        streams["__substg1.0_3712001F"] = _utf16(file.content_id)
    return streams


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-le")


def tnef(message: OutlookMessage) -> bytes:
    """The message as a winmail.dat."""
    out = bytes.fromhex("789f3e22") + struct.pack("<H", 1)
    out += _attribute(1, 0x00089006, struct.pack("<I", 0x00010000))  # version
    out += _attribute(1, 0x00069007, struct.pack("<II", 1252, 0))  # code page
    out += _attribute(1, 0x00018004, message.subject.encode("cp1252") + b"\0")
    properties = [(0x001F, 0x1000, _utf16(message.body) + b"\0\0")]
    if message.html:
        properties.append((0x0102, 0x1013, message.html))
    out += _attribute(1, 0x00069003, _properties(properties))
    for file in message.files:
        out += _attribute(2, 0x00069002, struct.pack("<HIHHI", 1, 0xFFFFFFFF, 32, 32, 0))
        short = file.name.encode("cp1252", "replace")[:12]
        out += _attribute(2, 0x00018010, short + b"\0")
        values = [(0x001F, 0x3707, _utf16(file.name) + b"\0\0")]
        if file.content_type:
            values.append((0x001F, 0x370E, _utf16(file.content_type) + b"\0\0"))
        if file.content_id:
            values.append((0x001F, 0x3712, _utf16(file.content_id) + b"\0\0"))
        if file.message is not None:
            embedded = bytes.fromhex("0703020000000000c000000000000046") + tnef(file.message)
            values.append((0x000D, 0x3701, embedded))
        else:
            out += _attribute(2, 0x0006800F, file.content)
        out += _attribute(2, 0x00069005, _properties(values))
    return out


def _attribute(level: int, number: int, data: bytes) -> bytes:
    return struct.pack("<BII", level, number, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)


def _properties(values: Sequence[tuple[int, int, bytes]]) -> bytes:
    out = struct.pack("<I", len(values) + 1) + struct.pack("<HHI", 0x0003, 0x3705, 1)  # a number among them
    for kind, key, value in values:
        out += struct.pack("<HHII", kind, key, 1, len(value)) + value + b"\0" * (-len(value) % 4)
    return out
