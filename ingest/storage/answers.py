"""Answers to senders: queued in the statement that decides on a mail, and taken one process at a time."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from ingest import log
from ingest.codes import AnswerKind, AnswerState, Rule
from ingest.model.answer import Answer, AnswerTarget
from ingest.model.claim import Claim
from ingest.storage.database import Database, as_text

# Answers in 24 hours. A limit for each sender is none for a domain that takes mail for any address. The limit for a
# domain leaves room for the senders of a large mail provider. The limit for a tenant leaves four fifths to the others
# where one tenant's address is attacked from many domains. Exchange lets the smallest organisation send to 10,000
# strangers in a day: half of them stay free for the people there.
DOMAIN_LIMIT = 500
TENANT_LIMIT = 1000
DAILY_LIMIT = 5000


@dataclass(frozen=True, kw_only=True, slots=True)
class DueAnswer:
    """An answer that this process sends. `claim`: of the mail. `attempts`: with this one."""

    claim: int
    kind: AnswerKind
    answer: Answer = field(repr=False)
    attempts: int


def answer_parameters(claim: Claim, answer: Answer) -> dict[str, object]:
    """Return the parameters of `ingest.queue_answer`."""
    quoted = {
        "message_id": answer.target.message_id,
        "references": answer.target.references,
        "subject": as_text(answer.target.subject),
        "language": answer.target.language,
        "documents": [as_text(name) for name in answer.documents],
        "refused": [[as_text(name), rule] for name, rule in answer.refused],
    }
    return {
        "claim": claim.id,
        "kinds": [str(kind) for kind in answer.kinds],
        "recipient": answer.target.recipient,
        "quoted": json.dumps(quoted),
    }


class Answers:
    """The queued answers of one database. Every call may raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    TAKE_ANSWERS = "select * from ingest.take_answers(%(most)s, %(a_day)s, %(of_domain)s, %(in_all)s, %(of_tenant)s)"

    def take(self, most: int, *, a_day: int) -> list[DueAnswer]:
        """Return at most `most` answers, which no other process sends from now on.

        A sender gets at most `a_day` answers in 24 hours, the senders of one domain DOMAIN_LIMIT, and all senders
        DAILY_LIMIT. The mails of one tenant get at most TENANT_LIMIT, and so do the mails without a tenant together.
        An answer beyond a limit is never sent, and logged with the limit.
        """
        rows = self._database.all(
            "take_answers",
            self.TAKE_ANSWERS,
            most=most,
            a_day=a_day,
            of_domain=DOMAIN_LIMIT,
            in_all=DAILY_LIMIT,
            of_tenant=TENANT_LIMIT,
        )
        for row in rows:
            if row["beyond"] is not None:
                log.warning("answer.suppressed", kind=row["kind"], limit=row["beyond"])
        return [_due(row) for row in rows if row["beyond"] is None]

    END_ANSWER = "select ingest.end_answer(%(claim)s, %(state)s, %(seconds)s)"

    def end(self, due: DueAnswer, state: AnswerState, *, again_after: float = 0.0) -> None:
        """Record the state after an attempt; for QUEUED the next attempt comes after `again_after` seconds."""
        self._database.none("end_answer", self.END_ANSWER, claim=due.claim, state=state, seconds=again_after)


def _due(row: dict[str, Any]) -> DueAnswer:
    quoted, kind = row["reply"], AnswerKind(row["kind"])
    return DueAnswer(
        claim=row["claim_id"],
        kind=kind,
        attempts=row["tries"],  # the column keeps its name, as does the field of the log event `answer.ended`
        answer=Answer(
            target=AnswerTarget(
                recipient=row["recipient"],
                message_id=quoted["message_id"],
                references=tuple(quoted["references"]),
                subject=quoted["subject"],
                language=quoted["language"],
            ),
            kinds=(kind,),
            documents=tuple(quoted["documents"]),
            refused=tuple((name, Rule(rule)) for name, rule in quoted["refused"]),
        ),
    )
