"""Mail in and out of the Graph that the stack uses: SMTP, Graph's own API, and the simulator's admin where it is ours.

Only what any Graph can do is needed; what a simulator can do besides (to fail on purpose) is `Mailbox.admin`.
"""

from __future__ import annotations

import smtplib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import requests

from local.graph.admin.client import Admin
from local.stack import Stack
from tests.chaos.mails import SUBJECT, Sent

QUARANTINE = "Quarantine"
INBOX = "Inbox"
GONE = "deleted"
_SENDER = "absender@sender.example"
_TIMEOUT = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """The place of a mail (INBOX, QUARANTINE or GONE), its id and its categories."""

    id: str
    folder: str
    categories: tuple[str, ...]


class Mailbox:
    """The central mailbox, seen from outside of the app."""

    def __init__(self, stack: Stack, smtp: tuple[str, int]) -> None:
        self._stack = stack
        self._smtp = smtp
        self._address = stack.identity.mailboxes[0]
        self._http = requests.Session()
        if stack.graph.ca_file is not None:
            self._http.trust_env = False
            self._http.verify = str(stack.graph.ca_file)
        self.admin: Admin | None = stack.admin if stack.simulator is not None else None

    def send(self, mails: Iterator[Sent]) -> Iterator[Sent]:
        """Send each mail over SMTP, and give it back once the server has taken it."""
        with smtplib.SMTP(*self._smtp, timeout=_TIMEOUT) as connection:
            for mail in mails:
                connection.sendmail(_SENDER, mail.recipients, mail.mime, mail_options=["BODY=8BITMIME"])
                yield mail

    def places(self) -> Mapping[str, Place]:
        """Every mail of ours that the mailbox has, by subject; only the simulator knows of GONE."""
        if self.admin is not None:
            return {
                state.subject: Place(id=state.id, folder=_folder(state.folder), categories=state.categories)
                for state in self.admin.messages()
                if state.subject.startswith(SUBJECT)
            }
        return {
            message["subject"]: Place(id=message["id"], folder=folder, categories=tuple(message["categories"]))
            for folder, path in self._folders()
            for message in self._all(f"{path}/messages?$select=id,subject,categories&$top=500")
            if str(message.get("subject")).startswith(SUBJECT)
        }

    def release(self, place: Place) -> None:
        """Out of Quarantine, back into the inbox, as an administrator would."""
        path = f"{self._user}/messages/{quote(place.id, safe='')}/move"
        self._call("POST", path, json={"destinationId": "inbox"})

    def put_aside_quarantine(self, number: int) -> None:
        """Rename the folder, as a user would: the app has to make a new one."""
        for name, path in self._folders():
            if name == QUARANTINE and path.startswith(self._user):
                self._call("PATCH", path, json={"displayName": f"{QUARANTINE} {number}"})

    def drop_subscriptions(self) -> None:
        """Without a word to the app."""
        for subscription in self._all("/subscriptions"):
            self._call("DELETE", f"/subscriptions/{subscription['id']}")

    def spoil_subscription(self) -> None:
        """Put one in its place that looks like an older deployment's: another URL, another secret."""
        for subscription in self._all("/subscriptions")[:1]:
            self._call("DELETE", f"/subscriptions/{subscription['id']}")
            wrong = {
                name: subscription[name]
                for name in ("changeType", "resource", "expirationDateTime", "lifecycleNotificationUrl")
            }
            wrong["notificationUrl"] = f"{subscription['notificationUrl'].partition('?')[0]}?of=yore"
            self._call("POST", "/subscriptions", json={**wrong, "clientState": "of yore"})

    @property
    def _user(self) -> str:
        return f"/users/{quote(self._address, safe='@')}"

    def _folders(self) -> list[tuple[str, str]]:
        """Return Inbox, Quarantine and each renamed Quarantine: our name of the folder, its path."""
        folders = self._all(f"{self._user}/mailFolders?$select=id,displayName&$top=100")
        found = [(INBOX, f"{self._user}/mailFolders/inbox")]
        found += [
            (QUARANTINE, f"{self._user}/mailFolders/{folder['id']}")
            for folder in folders
            if str(folder["displayName"]).startswith(QUARANTINE)
        ]
        return found

    def _all(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        link: str | None = path
        while link:
            page = self._call("GET", link)
            found += page["value"]
            link = page.get("@odata.nextLink")
        return found

    def _call(self, method: str, path: str, **options: Any) -> Any:  # noqa: ANN401 - requests' options in, JSON out
        """One call that has to succeed. The harness's own: never under faults."""
        url = path if path.startswith("https://") else f"{self._stack.graph.graph_base_url}{path}"
        headers = {"Authorization": f"Bearer {self._token()}", "Prefer": 'IdType="ImmutableId"'}
        answer = self._http.request(method, url, headers=headers, timeout=_TIMEOUT, **options)
        answer.raise_for_status()
        return answer.json() if answer.content else {}

    def _token(self) -> str:
        identity, graph = self._stack.identity, self._stack.graph
        answer = self._http.post(
            f"{graph.authority_host}/{identity.tenant_id}/oauth2/v2.0/token",
            data={
                "grant_type": "client_credentials",
                "client_id": identity.client_id,
                "client_secret": identity.client_secret,
                "scope": f"{graph.graph_base_url.rpartition('/')[0]}/.default",
            },
            timeout=_TIMEOUT,
        )
        answer.raise_for_status()
        return str(answer.json()["access_token"])


def _folder(name: str) -> str:
    if name.startswith(QUARANTINE):
        return QUARANTINE
    return GONE if name in {"deleted", "permanentlyDeleted"} else name
