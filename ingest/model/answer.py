"""An answer to the sender of a message."""

from __future__ import annotations

from dataclasses import dataclass, field

from ingest.codes import AnswerKind, Rule


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerTarget:
    """The sender that an answer may go to, and what the answer quotes of their mail. All of it is fit for a header.

    `message_id` and `references` are the mail's, the former None where it has none. `language`: `de` or `en`.
    """

    recipient: str = field(repr=False)
    message_id: str | None
    references: tuple[str, ...]
    subject: str = field(repr=False)
    language: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An answer that a mail may get: the first of `kinds` that its tenant wants.

    `documents`: names of the documents that were taken. `refused`: names of parts that were not, each with its rule.
    """

    target: AnswerTarget
    kinds: tuple[AnswerKind, ...]
    documents: tuple[str, ...] = field(default=(), repr=False)
    refused: tuple[tuple[str, Rule], ...] = field(default=(), repr=False)
