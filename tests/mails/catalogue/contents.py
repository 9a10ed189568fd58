"""Contents of attached files, as small as their types allow."""

from __future__ import annotations

import datetime as dt
import io
import struct
import zipfile
import zlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs7

from tests.mails import invoices

PORTABLE_EXECUTABLE = "application/vnd.microsoft.portable-executable"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def said(kind: str, profile: str, number: str, total: str = "1190.00") -> str:
    """The facts of an e-invoice of the samples, in one line."""
    return f"{kind} {profile} {number} 2025-03-14 {invoices.SELLER} {total} EUR"


def png(text_in_it: str) -> bytes:
    """A small image; the text makes it differ from others."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixel = zlib.compress(b"\0\x0b\x3d\x5c")
    comment = b"Comment\0" + text_in_it.encode("latin-1")
    chunks = chunk(b"IHDR", header) + chunk(b"tEXt", comment) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def jpeg(text_in_it: str) -> bytes:
    """The beginning and the end of an image, with a comment."""
    comment = text_in_it.encode()
    return (
        b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xfe"
        + struct.pack(">H", len(comment) + 2)
        + comment
        + b"\xff\xd9"
    )


def tiff() -> bytes:
    """A bilevel page of one pixel."""
    return b"II*\0\x08\0\0\0\x01\0\x00\x01\x03\0\x01\0\0\0\x01\0\0\0\0\0\0\0"


def media(major: bytes, compatible: bytes) -> bytes:
    """Return the beginning of an ISO base media file: a photo of a phone, a film."""
    return struct.pack(">I4s4sI4s", 20, b"ftyp", major, 0, compatible) + bytes(100)


def executable() -> bytes:
    """The first bytes of a program for Windows."""
    return b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0\xb8" + bytes(110) + b"PE\0\0"


def zipped(files: dict[str, bytes]) -> bytes:
    """An archive of these files, stored as they are."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, date_time=(2025, 3, 14, 9, 0, 0)), content)
    return out.getvalue()


def zipped_zeros(name: str, size: int) -> bytes:
    """An archive with one member of that many zeros, deflated."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo(name, date_time=(2025, 3, 14, 9, 0, 0))
        entry.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(entry, "w", force_zip64=True) as member:
            for _ in range(size // 2**20):
                member.write(bytes(2**20))
    return out.getvalue()


def encrypted_zip(files: dict[str, bytes]) -> bytes:
    """An archive that is marked as encrypted; what is in it is noise."""
    archive = bytearray(zipped(files))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = archive.find(signature)
        while at >= 0:
            archive[at + offset] |= 1
            at = archive.find(signature, at + 1)
    return bytes(archive)


def _key_and_certificate() -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Rechnungsstelle")])
    start = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    return key, certificate


def sign(content: bytes, *, detached: bool) -> bytes:
    """An S/MIME signature over the content, which is inside of it unless `detached`. Other bytes each time."""
    key, certificate = _key_and_certificate()
    options = [pkcs7.PKCS7Options.Binary, *([pkcs7.PKCS7Options.DetachedSignature] if detached else [])]
    builder = pkcs7.PKCS7SignatureBuilder().set_data(content).add_signer(certificate, key, hashes.SHA256())
    return builder.sign(serialization.Encoding.DER, options)


def encrypt(content: bytes) -> bytes:
    """An S/MIME message for the holder of another key. Other bytes each time."""
    _, certificate = _key_and_certificate()
    builder = pkcs7.PKCS7EnvelopeBuilder().set_data(content).add_recipient(certificate)
    return builder.encrypt(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])
