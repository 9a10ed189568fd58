"""Mails that hold containers: attached mails, Outlook files, archives, bombs."""

from __future__ import annotations

from tests.mails.catalogue.contents import PORTABLE_EXECUTABLE, executable, png, zipped, zipped_zeros
from tests.mails.catalogue.sample import GREETING, MAIL, OCTETS, PDF, PNG, TXT, ZIP, Expected, Family
from tests.mails.compound import OutlookFile, OutlookMessage, msg, tnef
from tests.mails.invoices import pdf
from tests.mails.mime import attached, file, mail, multipart, named, text
from tests.mails.table import Row

FAMILY = Family()


@FAMILY.sample
def forwarded_as_attachment(expected: Expected) -> bytes:
    """A mail in a mail in a mail; the inner ones have logos and documents of their own."""
    deep, offer = pdf("Lieferschein 9"), pdf("Angebot 9")
    html = text('<p>Anbei.</p><img src="cid:logo%40brandt">', "html")
    innermost = mail("Lieferschein", multipart("mixed", text(GREETING), file("Lieferschein 9.pdf", PDF, deep)))
    inner = mail(
        "Angebot für Grüße & Co",
        multipart(
            "mixed",
            multipart("related", html, file("logo.png", PNG, png("logo"), disposition="inline", cid="logo@brandt")),
            file("Angebot 9.pdf", PDF, offer),
            attached(innermost),
        ),
    )
    first = expected.add("container", "attached_mail", "Angebot für Grüße & Co.eml", MAIL, MAIL, inner)
    expected.add("inline_image", "shown_in_body", "logo.png", PNG, PNG, png("logo"), inside=first)
    expected.pdf("Angebot 9.pdf", offer, inside=first)
    second = expected.add("container", "attached_mail", "Lieferschein.eml", MAIL, MAIL, innermost, inside=first)
    expected.pdf("Lieferschein 9.pdf", deep, inside=second)
    return mail("WG: Angebot", multipart("mixed", text("Zur Kenntnis.\n"), attached(inner)))


@FAMILY.sample
def forwarded_without_documents(expected: Expected) -> bytes:
    """An attached mail that has nothing but text is the document."""
    inner = mail("Auftrag 12", text("Bitte liefern Sie 12 Fenster.\n"))
    expected.add("document", "mail_without_documents", "Auftrag 12.eml", MAIL, MAIL, inner)
    return mail("WG: Auftrag 12", multipart("mixed", text("Zur Kenntnis.\n"), attached(inner)))


@FAMILY.sample
def mail_as_file(expected: Expected) -> bytes:
    """A saved mail, declared as anything: its content decides."""
    offer = pdf("Angebot 10")
    saved = mail("Angebot 10", multipart("mixed", text(GREETING), file("Angebot 10.pdf", PDF, offer)))
    outer = expected.add("container", "attached_mail", "Angebot 10.eml", OCTETS, MAIL, saved)
    expected.pdf("Angebot 10.pdf", offer, inside=outer)
    return mail("Gespeicherte Mail", multipart("mixed", text(GREETING), file("Angebot 10.eml", OCTETS, saved)))


@FAMILY.sample
def outlook_message_file(expected: Expected) -> bytes:
    """A .msg with a PDF large and one small, a logo that its HTML shows, and a message inside of it."""
    small, large, inner = pdf("Aufmaß"), pdf("Fotodokumentation" + "." * 9000), pdf("Nachtrag")
    saved = msg(
        OutlookMessage(
            subject="Aufmaß Südhang",
            body=GREETING,
            html=b'<p>Anbei.</p><img src="cid:logo@msg">',
            files=[
                OutlookFile(name="Aufmaß.pdf", content_type=PDF, content=small),
                OutlookFile(name="Fotos.pdf", content_type=PDF, content=large),
                OutlookFile(name="logo.png", content_type=PNG, content=png("msg"), content_id="logo@msg"),
                OutlookFile(
                    name="Nachtrag",
                    message=OutlookMessage(
                        subject="Nachtrag",
                        body=GREETING,
                        files=[OutlookFile(name="Nachtrag 1.pdf", content_type=PDF, content=inner)],
                    ),
                ),
            ],
        )
    )
    outlook = "application/vnd.ms-outlook"
    outer = expected.add("container", "attached_mail", "Aufmass.msg", outlook, outlook, saved)
    expected.pdf("Aufmaß.pdf", small, inside=outer)
    expected.pdf("Fotos.pdf", large, inside=outer)
    expected.add("inline_image", "shown_in_body", "logo.png", PNG, PNG, png("msg"), inside=outer)
    embedded = expected.add("container", "attached_mail", "Nachtrag.msg", outlook, None, None, inside=outer)
    expected.pdf("Nachtrag 1.pdf", inner, inside=embedded)
    return mail("Aufmaß", multipart("mixed", text(GREETING), file("Aufmass.msg", outlook, saved)))


@FAMILY.sample
def winmail_dat(expected: Expected) -> bytes:
    """Outlook's own format, as it arrives where rich text leaves Exchange."""
    report, inner = pdf("Prüfbericht"), pdf("Anlage")
    packed = tnef(
        OutlookMessage(
            subject="Prüfbericht",
            body=GREETING,
            html=b'<img src="cid:logo@tnef">',
            files=[
                OutlookFile(name="Prüfbericht für März.pdf", content_type=PDF, content=report),
                OutlookFile(name="logo.png", content=png("tnef"), content_id="logo@tnef"),
                OutlookFile(
                    name="Weitergeleitet",
                    message=OutlookMessage(
                        subject="Anlage", body=GREETING, files=[OutlookFile(name="Anlage.pdf", content=inner)]
                    ),
                ),
            ],
        )
    )
    outer = expected.add(
        "container", "winmail_dat", "winmail.dat", "application/ms-tnef", "application/ms-tnef", packed
    )
    expected.pdf("Prüfbericht für März.pdf", report, inside=outer)
    expected.add("inline_image", "shown_in_body", "logo.png", None, PNG, png("tnef"), inside=outer)
    embedded = expected.add("container", "winmail_dat", "Weitergeleitet", None, None, None, inside=outer)
    expected.pdf("Anlage.pdf", inner, inside=embedded, declared=None)
    return mail("Prüfbericht", multipart("mixed", text(GREETING), file("winmail.dat", "application/ms-tnef", packed)))


@FAMILY.sample
def zip_archive(expected: Expected) -> bytes:
    """Folders, an archive inside, an executable, an empty file, macOS's leavings, and names of all kinds."""
    one, two, three = pdf("Beleg 1"), pdf("Beleg 2"), pdf("Beleg 3")
    inner = zipped({"Beleg 3.pdf": three})
    fork = bytes.fromhex("00051607") + bytes(60)
    archive = zipped(
        {
            "Belege/": b"",
            "Belege/Beleg 1.pdf": one,
            "Belege/März.pdf": two,
            "../../etc/passwd": b"root:x:0:0\n",
            "Belege/Setup.exe": executable(),
            "leer.txt": b"",
            "innen.zip": inner,
            "__MACOSX/._Beleg 1.pdf": fork,
        }
    )
    outer = expected.add("container", "zip_archive", "Belege.zip", "application/x-zip-compressed", ZIP, archive)
    expected.pdf("Belege/Beleg 1.pdf", one, inside=outer, declared=None)
    expected.pdf("Belege/März.pdf", two, inside=outer, declared=None)
    expected.add("document", "file", "../../etc/passwd", None, TXT, b"root:x:0:0\n", inside=outer)
    expected.add(
        "rejected", "dangerous_type", "Belege/Setup.exe", None, PORTABLE_EXECUTABLE, executable(), inside=outer
    )
    expected.add("rejected", "empty", "leer.txt", None, OCTETS, b"", inside=outer)
    inside = expected.add("container", "zip_archive", "innen.zip", None, ZIP, inner, inside=outer)
    expected.pdf("Beleg 3.pdf", three, inside=inside, declared=None)
    expected.add(
        "rejected",
        "system_file",
        "__MACOSX/._Beleg 1.pdf",
        None,
        "application/applefile",
        fork,
        inside=outer,
        mismatch=True,
    )
    return mail(
        "Belege", multipart("mixed", text(GREETING), file("Belege.zip", "application/x-zip-compressed", archive))
    )


@FAMILY.sample
def zip_damaged(expected: Expected) -> bytes:
    """An archive cut off in the middle can't be opened; one with a damaged member gives the others."""
    cut = zipped({"Beleg.pdf": pdf("Beleg")})[:-40]
    sound, broken = pdf("heil"), pdf("kaputt")
    damaged = zipped({"heil.pdf": sound, "kaputt.pdf": broken}).replace(b"(kaputt)", b"(KAPUTT)")
    expected.add("document", "unreadable_container", "abgeschnitten.zip", ZIP, ZIP, cut)
    outer = expected.add("container", "zip_archive", "beschädigt.zip", ZIP, ZIP, damaged)
    expected.pdf("heil.pdf", sound, inside=outer, declared=None)
    expected.rows.append(
        Row(
            position=len(expected.rows) + 1,
            inside=outer,
            disposition="rejected",
            rule="unreadable",
            name="kaputt.pdf",
            size=len(broken),
        )
    )
    return mail(
        "Beschädigte Archive",
        multipart(
            "mixed",
            text(GREETING),
            file("abgeschnitten.zip", ZIP, cut),
            named("Content-Disposition: attachment; filename*=UTF-8''besch%C3%A4digt.zip", ZIP, damaged),
        ),
    )


@FAMILY.sample
def bombs(expected: Expected) -> bytes:
    """Too large, too many, too deep: each refused, and the invoice beside them stored."""
    invoice = pdf("Rechnung zwischen Bomben")
    zeros = 64 * 1024 * 1024
    large = zipped_zeros("nullen.bin", zeros)
    many = zipped({f"{number:04}.txt": b"x" for number in range(1500)})
    deep = pdf("ganz unten")
    layers: list[tuple[str, bytes]] = []
    for number in range(10):
        deep = zipped({f"{number}.zip" if number else "unten.pdf": deep})
        layers.insert(0, (f"{number + 1}.zip", deep))
    outer = expected.add("container", "zip_archive", "gross.zip", ZIP, ZIP, large)
    expected.rows.append(
        Row(position=2, inside=outer, disposition="rejected", rule="too_large", name="nullen.bin", size=zeros)
    )
    expected.add("rejected", "too_many", "viele.zip", ZIP, ZIP, many)
    inside: int | None = None
    for depth, (name, content) in enumerate(layers, start=1):
        if depth <= 8:
            inside = expected.add(
                "container",
                "zip_archive",
                "tief.zip" if inside is None else name,
                ZIP if inside is None else None,
                ZIP,
                content,
                inside=inside,
            )
    expected.add("rejected", "too_deep", layers[8][0], None, ZIP, layers[8][1], inside=inside)
    expected.pdf("Rechnung.pdf", invoice)
    return mail(
        "Bomben",
        multipart(
            "mixed",
            text(GREETING),
            file("gross.zip", ZIP, large),
            file("viele.zip", ZIP, many),
            file("tief.zip", ZIP, layers[0][1]),
            file("Rechnung.pdf", PDF, invoice),
        ),
    )


@FAMILY.sample
def the_same_twice(expected: Expected) -> bytes:
    """The same content under two names, and once more in an archive: one document."""
    invoice = pdf("Rechnung 77")
    archive = zipped({"77.pdf": invoice, "AGB.pdf": pdf("AGB")})
    expected.pdf("Rechnung 77.pdf", invoice)
    expected.add("duplicate_in_mail", "same_content", "Rechnung 77 Kopie.pdf", PDF, PDF, invoice, related=1)
    outer = expected.add("container", "zip_archive", "alles.zip", ZIP, ZIP, archive)
    expected.add("duplicate_in_mail", "same_content", "77.pdf", None, PDF, invoice, inside=outer, related=1)
    expected.pdf("AGB.pdf", pdf("AGB"), inside=outer, declared=None)
    return mail(
        "Rechnung 77",
        multipart(
            "mixed",
            text(GREETING),
            file("Rechnung 77.pdf", PDF, invoice),
            file("Rechnung 77 Kopie.pdf", PDF, invoice),
            file("alles.zip", ZIP, archive),
        ),
    )
