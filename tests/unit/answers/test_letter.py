"""An answer as a mail: marked as automatic, in text and HTML, and no header or markup by a stranger's text."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from uuid import UUID

import pytest

from answers.letter import Letter
from answers.texts import LANGUAGES, Templates
from ingest.codes import AnswerKind, Rule
from ingest.errors import SettingsError
from ingest.model.answer import Answer, AnswerTarget


def answer(*, subject: str = "Rechnung 4711", language: str = "de") -> Answer:
    return Answer(
        target=AnswerTarget(
            recipient="anna@supplier.example",
            message_id="<1@supplier.example>",
            references=("<0@supplier.example>",),
            subject=subject,
            language=language,
        ),
        kinds=(AnswerKind.RECEIVED,),
        documents=("<b>a</b>.pdf", "ß.pdf"),
        refused=(("x.exe", Rule.DANGEROUS_TYPE),),
    )


def parsed(kind: AnswerKind, of: Answer, templates: Templates | None = None) -> EmailMessage:
    letter = Letter(
        id=UUID(int=7),
        sender="upload@dms.example",
        target=of.target,
        text=(templates or Templates()).text(kind, of),
        written_at=datetime(2026, 11, 27, 12, tzinfo=UTC),
    )
    return BytesParser(policy=policy.default).parsebytes(letter.as_mime())


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


@pytest.mark.parametrize("kind", AnswerKind)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_has_its_text_in_both_languages(kind: AnswerKind, language: str) -> None:
    message = parsed(kind, answer(language=language))
    assert "$" not in str(message["subject"]) + body(message, "plain") + body(message, "html")
    assert "Rechnung 4711" in message["subject"]
    assert message["content-language"] == language


def test_the_headers_mark_an_automatic_answer_below_its_mail() -> None:
    message = parsed(AnswerKind.RECEIVED, answer())
    assert {name.lower(): str(value) for name, value in message.items()} | {"content-type": ""} == {
        "from": "upload@dms.example",
        "to": "anna@supplier.example",
        "subject": "Angekommen: Rechnung 4711",
        "date": "Fri, 27 Nov 2026 12:00:00 +0000",
        "message-id": f"<mail-entrance.{UUID(int=7).hex}@dms.example>",
        "content-language": "de",
        "auto-submitted": "auto-replied",
        "x-auto-response-suppress": "All",
        "in-reply-to": "<1@supplier.example>",
        "references": "<0@supplier.example> <1@supplier.example>",
        "mime-version": "1.0",
        "content-type": "",
    }


def test_the_names_of_documents_are_text() -> None:
    message = parsed(AnswerKind.RECEIVED, answer())
    assert "- <b>a</b>.pdf\n- ß.pdf" in body(message, "plain")
    assert "<li>&lt;b&gt;a&lt;/b&gt;.pdf</li>" in body(message, "html")


def test_a_subject_is_no_placeholder_and_no_markup() -> None:
    message = parsed(AnswerKind.RECEIVED, answer(subject="$documents ${subject} <script>"))
    assert message["subject"] == "Angekommen: $documents ${subject} <script>"
    assert "<script>" not in body(message, "html")


def test_a_dms_replaces_texts_and_page(tmp_path: Path) -> None:
    own = Path(__file__).parents[3] / "answers/templates"
    for language in LANGUAGES:
        texts = json.loads((own / f"{language}.json").read_text())
        texts["received"] = {"subject": "Ours: $subject", "text": ["Thanks for $subject."]}
        (tmp_path / f"{language}.json").write_text(json.dumps(texts))
    (tmp_path / "page.html").write_text("<main>$content</main>")
    message = parsed(AnswerKind.RECEIVED, answer(), Templates(str(tmp_path)))
    assert message["subject"] == "Ours: Rechnung 4711"
    assert body(message, "html").strip() == "<main><p>Thanks for Rechnung 4711.</p></main>"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"none": "x", "received": {"subject": 1}}'])
def test_a_template_that_lacks_a_text_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "de.json").write_text(content)
    with pytest.raises(SettingsError, match=r"INGEST_ANSWER_TEMPLATES: de\.json"):
        Templates(str(tmp_path))


def test_long_message_ids_stand_in_the_headers_as_they_are() -> None:
    """Exchange's own ids are longer than a line. A mail program finds no mail by an encoded word."""
    of = answer()
    long = f"<{'A1' * 30}@{'a1' * 10}.eurprd04.prod.outlook.example>"
    target = replace(of.target, message_id=long, references=("<0@supplier.example>", long))
    letter = Letter(
        id=UUID(int=7),
        sender="upload@dms.example",
        target=target,
        text=Templates().text(AnswerKind.RECEIVED, of),
        written_at=datetime(2026, 11, 27, 12, tzinfo=UTC),
    )
    header, _, _ = letter.as_mime().partition(b"\r\n\r\n")
    assert f"\r\nIn-Reply-To: {long}\r\n".encode() in header
    assert f"\r\nReferences: <0@supplier.example>\r\n {long}\r\n {long}\r\n".encode() in header
