"""The texts of answers: from templates that a DMS can replace, in plain text and as HTML.

A template is a JSON file for each language, `de.json` and `en.json`. For each kind of answer it has a `subject` and a
`text` of paragraphs. `$subject`, `$documents` and `$refused` are filled in. A file `page.html` with `$content` in the
same folder replaces the page around the HTML.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from ingest.codes import AnswerKind
from ingest.errors import SettingsError
from ingest.model.answer import Answer

LANGUAGES = ("de", "en")
_OWN = Path(__file__).parent / "templates"
_PAGE = '<!doctype html><html><head><meta charset="utf-8"></head><body>$content</body></html>'


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """An answer's text. `subject` is one line."""

    subject: str = field(repr=False)
    plain: str = field(repr=False)
    html: str = field(repr=False)


class Templates:
    """The templates of a folder; the app's own without one."""

    def __init__(self, folder: str | None = None) -> None:
        """Read every template. Raises SettingsError that names what is missing."""
        place = _OWN if folder is None else Path(folder)
        self._texts = {language: _read(place / f"{language}.json") for language in LANGUAGES}
        page = place / "page.html"
        self._page = Template(page.read_text("utf-8") if page.is_file() else _PAGE)

    def text(self, kind: AnswerKind, answer: Answer) -> Text:
        """Return an answer's text in the language of its mail."""
        texts = self._texts[answer.target.language]
        template = texts[kind]
        lists = {
            "$documents": list(answer.documents) or [texts["none"]],
            "$refused": [name for name, _ in answer.refused] or [texts["none"]],
        }
        values = {"subject": answer.target.subject}
        plain, html = list[str](), list[str]()
        for paragraph in template["text"]:
            if paragraph in lists:
                plain.append("\n".join(f"- {item}" for item in lists[paragraph]))
                html.append("<ul>" + "".join(f"<li>{escape(item)}</li>" for item in lists[paragraph]) + "</ul>")
            else:
                filled = Template(paragraph).safe_substitute(values)
                plain.append(filled)
                html.append(f"<p>{escape(filled)}</p>")
        return Text(
            subject=" ".join(Template(template["subject"]).safe_substitute(values).split()),
            plain="\n\n".join(plain) + "\n",
            html=self._page.safe_substitute(content="".join(html)),
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        texts: Any = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        raise SettingsError([f"INGEST_ANSWER_TEMPLATES: {path.name} is missing, or no JSON"]) from None
    wrong = [kind for kind in AnswerKind if not _is_template(texts.get(kind))] if isinstance(texts, dict) else ["*"]
    if wrong or not isinstance(texts.get("none"), str):
        raise SettingsError([f"INGEST_ANSWER_TEMPLATES: {path.name} lacks {', '.join(wrong) or 'none'}"])
    return dict(texts)


def _is_template(value: object) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("subject"), str):
        return False
    text = value.get("text")
    return isinstance(text, list) and all(isinstance(paragraph, str) for paragraph in text)
