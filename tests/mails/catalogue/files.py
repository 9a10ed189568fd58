"""Files by type and name: dangerous ones, wrongly declared ones, hostile names, empty ones, many."""

from __future__ import annotations

from email.header import Header

from tests.mails.catalogue.contents import DOCX, PORTABLE_EXECUTABLE, executable, media, said, tiff, zipped
from tests.mails.catalogue.sample import GREETING, MAIL, OCTETS, PDF, TXT, XML, ZIP, Expected, Family
from tests.mails.invoices import pdf, ubl
from tests.mails.mime import attached, file, mail, multipart, named, text

FAMILY = Family()
JAR = "application/java-archive"


@FAMILY.sample
def dangerous_types(expected: Expected) -> bytes:
    """Programs are refused, by content and by name; the mail is stored all the same."""
    batch, shortcut = b"@echo off\r\ndel /q *.*\r\n", b"L\0\0\0\x01\x14\x02\0" + bytes(70)
    jar = zipped({"META-INF/MANIFEST.MF": b"Manifest-Version: 1.0\n", "A.class": b"\xca\xfe\xba\xbe"})
    script = b"#!/bin/sh\nrm -rf ~\n"
    expected.add("rejected", "dangerous_type", "Rechnung.pdf", PDF, PORTABLE_EXECUTABLE, executable(), mismatch=True)
    expected.add("rejected", "dangerous_type", "Rechnung.pdf.bat", TXT, "text/x-script", batch, mismatch=True)
    expected.add("rejected", "dangerous_type", "Rechnung.lnk", OCTETS, "application/x-ms-shortcut", shortcut)
    expected.add("rejected", "dangerous_type", "tool.zip", ZIP, "application/java-archive", jar, mismatch=True)
    expected.add("rejected", "dangerous_type", "lies mich", TXT, "text/x-script", script, mismatch=True)
    offer = pdf("Angebot")
    expected.add("rejected", "dangerous_type", "Angebot.exe", PDF, PDF, offer)
    mime = mail(
        "Programme",
        multipart(
            "mixed",
            text(GREETING),
            file("Rechnung.pdf", PDF, executable()),
            file("Rechnung.pdf.bat", TXT, batch),
            file("Rechnung.lnk", OCTETS, shortcut),
            file("tool.zip", ZIP, jar),
            file("lies mich", TXT, script),
            file("Angebot.exe", PDF, offer),
        ),
    )
    expected.original("Programme", mime)
    return mime


@FAMILY.sample
def disguised_programs(expected: Expected) -> bytes:
    """Programs that look like documents to a reader of signatures, and documents with the names of programs."""
    disguised: list[tuple[str, str, bytes, str]] = [
        ("Rechnung.js", PDF, b'//%PDF-1.4\nnew ActiveXObject("WScript.Shell").Run("calc");\n', PDF),
        ("Rechnung.hta", XML, b'<?xml version="1.0"?><hta:application/><script>run()</script>', XML),
        ("Rechnung.bat", "application/rtf", b"{\\rtf1\n}\r\ncalc.exe\r\n", "application/rtf"),
        ("Termin.cmd", "text/calendar", b"BEGIN:VCALENDAR\r\n&calc\r\n", "text/calendar"),
        ("Vertrag.jar", DOCX, zipped({"META-INF/MANIFEST.MF": b"a", "[Content_Types].xml": b"", "word/a": b""}), JAR),
        ("Freigabe.library-ms", XML, b'<?xml version="1.0"?><libraryDescription/>', XML),
        ("Beleg.one", "application/onenote", bytes.fromhex("e4525c7b8cd8a74daeb15378d02996d3"), "application/onenote"),
        ("Belege.iso", OCTETS, bytes(32769) + b"CD001\1", "application/x-disk-image"),
        ("Archiv.pdf. ", PDF, b"MSCF\0\0\0\0" + bytes(60), "application/vnd.ms-cab-compressed"),
    ]
    parts = []
    for name, declared, content, detected in disguised:
        mismatch = declared not in {detected, OCTETS}
        expected.add("rejected", "dangerous_type", name, declared, detected, content, mismatch=mismatch)
        parts.append(file(name, declared, content))
    chosen = zipped({"mimetype": b"application/pdf", "evil.js": b"run()", "evil.exe": executable()})
    outer = expected.add("container", "zip_archive", "Rechnung.pdf", PDF, ZIP, chosen, mismatch=True)
    expected.add("document", "file", "mimetype", None, TXT, b"application/pdf", inside=outer)
    expected.add("rejected", "dangerous_type", "evil.js", None, "text/x-script", b"run()", inside=outer)
    expected.add("rejected", "dangerous_type", "evil.exe", None, PORTABLE_EXECUTABLE, executable(), inside=outer)
    return mail("Verkleidet", multipart("mixed", text(GREETING), *parts, file("Rechnung.pdf", PDF, chosen)))


@FAMILY.sample
def photographed_receipts(expected: Expected) -> bytes:
    """Photos as phones take them, and the other images that scanners write."""
    images = [
        ("Quittung.HEIC", "image/heic", media(b"heic", b"mif1"), "image/heic"),
        ("Beleg.heic", "image/heic", media(b"mif1", b"heic"), "image/heic"),
        ("Bon.heif", "image/heif", media(b"mif1", b"heix"), "image/heic"),
        ("Kasse.avif", "image/avif", media(b"avif", b"mif1"), "image/avif"),
        ("Scan.bmp", "image/x-ms-bmp", b"BM" + bytes(8) + b"\x36\0\0\0\x28" + bytes(40), "image/bmp"),
        ("Scan.jp2", "image/jp2", b"\0\0\0\x0cjP  \r\n\x87\n" + media(b"jp2 ", b"jp2 "), "image/jp2"),
        ("Film.mp4", "video/mp4", media(b"isom", b"iso2"), "video/mp4"),
    ]
    for name, declared, content, detected in images:
        expected.add("document", "file", name, declared, detected, content)
    parts = (file(name, declared, content) for name, declared, content, _ in images)
    return mail("Belege", multipart("mixed", text(GREETING), *parts))


@FAMILY.sample
def markup_without_declaration(expected: Expected) -> bytes:
    """HTML without a document type, and e-invoices without an XML declaration."""
    page = b"<head><title>Rechnung 4711</title></head>\r\n<body><p>119,00 EUR</p></body>\r\n"
    invoice = ubl("RE-08").partition(b"?>")[2].lstrip()
    comment, instruction = b"<!-- made by\n ERP -->\n" + invoice, b'<?xml-stylesheet href="re.xsl"?>\n' + invoice
    expected.add("document", "file", "Rechnung.html", "text/html", "text/html", page)
    for name, content in (("RE-08.xml", comment), ("RE-09.xml", instruction)):
        expected.add("document", "file", name, XML, XML, content, invoice=said("ubl_invoice", "xrechnung_3.0", "RE-08"))
    return mail(
        "Ohne Vorspann",
        multipart(
            "mixed",
            text(GREETING),
            file("Rechnung.html", "text/html", page),
            file("RE-08.xml", XML, comment),
            file("RE-09.xml", XML, instruction),
        ),
    )


@FAMILY.sample
def office_files_with_macros(expected: Expected) -> bytes:
    """Office files of types with macros."""
    parts = []
    for name, main in (
        ("Vertrag.docm", "vnd.ms-word.document.macroEnabled"),
        ("Liste.xlsm", "vnd.ms-excel.sheet.macroEnabled"),
        ("Liste.xlsb", "vnd.ms-excel.sheet.binary.macroEnabled"),
        ("Vortrag.pptm", "vnd.ms-powerpoint.presentation.macroEnabled"),
    ):
        types = f'<Types><Override ContentType="application/{main}.main+xml"/></Types>'.encode()
        content = zipped({"[Content_Types].xml": types, "word/vbaProject.bin": b"x"})
        media_type = f"application/{main}.12"
        expected.add("document", "file", name, media_type.lower(), media_type.lower(), content, active=("macros",))
        parts.append(file(name, media_type, content))
    return mail("Makros", multipart("mixed", text(GREETING), *parts))


@FAMILY.sample
def active_content(expected: Expected) -> bytes:
    """Documents that act on opening: stored, and marked for the DMS."""
    relations = b'<Relationships><Relationship Type="x/attachedTemplate" Target="https://x" TargetMode="External"/>'
    links = (
        b'<Relationships><Relationship Type="x/hyperlink" Target="https://x" TargetMode="External"/></Relationships>'
    )
    office = {"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<w:document/>"}
    files: list[tuple[str, str, bytes, tuple[str, ...]]] = [
        ("Formular.pdf", PDF, b"%PDF-1.7\n1 0 obj<</S/J#61vaScript/JS(app.alert\\(1\\))>>endobj\n", ("script",)),
        ("Bild.svg", "image/svg+xml", b'<svg xmlns="x" onload="run()"/>', ("script",)),
        ("Rechnung.html", "text/html", b"<html><script>location='https://x'</script></html>", ("script",)),
        ("Vorlage.docx", DOCX, zipped({**office, "word/_rels/settings.xml.rels": relations}), ("external_link",)),
        ("Brief.docx", DOCX, zipped({**office, "word/_rels/document.xml.rels": links}), ()),
        ("Plan.html", "text/html", b"<html><p>the switch on = off, javascript</p></html>", ()),
    ]
    for name, media_type, content, active in files:
        expected.add("document", "file", name, media_type, media_type, content, active=active)
    parts = (file(name, media_type, content) for name, media_type, content, _ in files)
    return mail("Aktiv", multipart("mixed", text(GREETING), *parts))


@FAMILY.sample
def declared_otherwise(expected: Expected) -> bytes:
    """The content decides the type; the declared type is kept, with a flag where it was wrong."""
    docx = zipped({"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<w:document/>"})
    table = b"Konto;Betrag\r\n1200;47,11\r\n"
    letter = pdf("Brief")
    expected.add("document", "file", "Brief.jpg", "image/jpeg", PDF, letter, mismatch=True)
    expected.add("document", "file", "Vertrag.docx", OCTETS, DOCX, docx)
    expected.add("document", "file", "Umsatz.csv", "text/csv", TXT, table)
    expected.add("document", "file", "Scan.pdf", PDF, "image/tiff", tiff(), mismatch=True)
    expected.add("document", "file", "Notiz.pdf", PDF, TXT, b"Nur eine Notiz.\n", mismatch=True)
    return mail(
        "Falsch benannt",
        multipart(
            "mixed",
            text(GREETING),
            file("Brief.jpg", "image/jpeg", letter),
            file("Vertrag.docx", OCTETS, docx),
            file("Umsatz.csv", "text/csv", table),
            file("Scan.pdf", PDF, tiff()),
            file("Notiz.pdf", PDF, b"Nur eine Notiz.\n"),
        ),
    )


@FAMILY.sample
def names(expected: Expected) -> bytes:
    """RFC 2231 and 2047, raw and broken encodings, no name, 255 characters, paths, and text that turns around."""
    long = "Ä" * 251 + ".pdf"
    word = Header("Überweisung für März.pdf", "utf-8", maxlinelen=200).encode()
    cases: list[tuple[str, str]] = [
        (
            "Content-Disposition: attachment; filename*0*=UTF-8''Rechnung%20; filename*1*=f%C3%BCr.pdf",
            "Rechnung für.pdf",
        ),
        (f'Content-Disposition: attachment; filename="{word}"', "Überweisung für März.pdf"),
        ('Content-Disposition: attachment; filename="Größe.pdf"', "Größe.pdf"),
        ('Content-Disposition: attachment; filename="=?utf-9?Q?x=C3=BC.pdf?="', "xü.pdf"),
        ('Content-Disposition: attachment; filename=""', "Namen.pdf"),
        (f'Content-Disposition: attachment; filename="{long}"', long),
        ('Content-Disposition: attachment; filename="..%2f..\\\\windows\\\\x.pdf"', "..%2f..\\windows\\x.pdf"),
        ('Content-Disposition: attachment; filename="../../etc/passwd.pdf"', "../../etc/passwd.pdf"),
        ('Content-Disposition: attachment; filename="Rechnung\u202efdp.exe.pdf"', "Rechnung\u202efdp.exe.pdf"),
        ("Content-Disposition: attachment; filename*=UTF-8''a%00b%0Ac.pdf", "a\0b\nc.pdf"),
    ]
    parts = []
    for number, (disposition, name) in enumerate(cases):
        content = pdf(f"Name {number}")
        expected.pdf(name.replace("\0", "\ufffd"), content)
        parts.append(named(disposition, PDF, content))
    return mail("Namen", multipart("mixed", text(GREETING), *parts))


@FAMILY.sample
def names_inside(expected: Expected) -> bytes:
    """The same names within an attached mail."""
    cases = [
        (
            "Content-Disposition: attachment; filename*0*=UTF-8''Rechnung%20; filename*1*=f%C3%BCr.pdf",
            "Rechnung für.pdf",
        ),
        ('Content-Disposition: attachment; filename="=?iso-8859-1?Q?Gr=F6=DFe.pdf?="', "Größe.pdf"),
        ('Content-Disposition: attachment; filename="=?utf-9?Q?x=C3=BC.pdf?="', "xü.pdf"),
        ('Content-Disposition: attachment; filename="Größe 2.pdf"', "Größe 2.pdf"),
        ('Content-Disposition: attachment; filename=""', "Innen.pdf"),
        ("Content-Disposition: attachment", "ATT00006.pdf"),
    ]
    contents = [pdf(f"Name innen {number}") for number in range(len(cases))]
    parts = [named(case[0], PDF, content) for case, content in zip(cases, contents, strict=True)]
    inner = mail("Innen", multipart("mixed", text(GREETING), *parts))
    outer = expected.add("container", "attached_mail", "Innen.eml", MAIL, MAIL, inner)
    for (_, name), content in zip(cases, contents, strict=True):
        expected.pdf(name, content, inside=outer)
    return mail("Namen innen", multipart("mixed", text(GREETING), attached(inner)))


@FAMILY.sample
def empty_files(expected: Expected) -> bytes:
    """Files without a byte are no documents; without any other, the mail is."""
    mime = mail("Leer", multipart("mixed", text(GREETING), file("leer.pdf", PDF, b""), file("leer.zip", ZIP, b"")))
    expected.add("rejected", "empty", "leer.pdf", PDF, OCTETS, b"")
    expected.add("rejected", "empty", "leer.zip", ZIP, OCTETS, b"")
    expected.original("Leer", mime)
    return mime


@FAMILY.sample
def two_hundred_and_fifty(expected: Expected) -> bytes:
    """As many attachments as a message may have."""
    parts = []
    for number in range(1, 251):
        content = f"Beleg {number}\n".encode()
        expected.add("document", "file", f"Beleg {number:03}.txt", TXT, TXT, content)
        parts.append(file(f"Beleg {number:03}.txt", TXT, content))
    return mail("250 Belege", multipart("mixed", text(GREETING), *parts))


@FAMILY.sample
def not_mime(expected: Expected) -> bytes:
    """Broken MIME: no closing boundary, a boundary that is never used, base64 that breaks off."""
    offer = pdf("Angebot ohne Ende")
    broken = multipart("mixed", text(GREETING), file("Angebot.pdf", PDF, offer)).rsplit(b"\r\n--", 1)[0]
    expected.pdf("Angebot.pdf", offer)
    return mail("Ohne Ende", broken)
