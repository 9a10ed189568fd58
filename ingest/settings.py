"""The settings: read once from the environment; one message names every setting that is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from urllib.parse import parse_qs, urlsplit

from ingest.environment import Environment, is_url
from ingest.errors import SettingsError
from ingest.model.limits import Limits

# Mails that a mailbox can work off until the next sweep: Outlook allows 10,000 requests in ten minutes, a mail takes
# two, and the sweep runs every five minutes. https://learn.microsoft.com/graph/throttling-limits
DEFAULT_SWEEP_LIMIT = 2_500
# Mails of a tenant in an hour, beyond which its mails wait for their turn: what Exchange takes from one sender for one
# mailbox. https://learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits
DEFAULT_TENANT_BUDGET = 1_200
DEFAULT_ADDRESS_PATTERN = r"^upload[.+](?P<token>[a-z0-9][a-z0-9_-]{6,62}[a-z0-9])(?:\+[^@]*)?@"
DEFAULT_ANSWERS_A_DAY = 3  # to one sender
MAX_CLIENT_STATE = 128  # characters, Graph's limit
MIN_CLIENT_STATE = 16  # characters: 64 bits in hex, beyond guessing over the network
# Exchange's own folders in English and in German, in lower case. A mail that is "moved" into the inbox stays there, and
# is announced again, for ever; Deleted Items and Junk Email lose mails after some weeks.
_EXCHANGE_FOLDERS = frozenset(
    {"inbox", "deleted items", "junk email", "drafts", "sent items", "outbox", "archive"}
    | {"posteingang", "gelöschte elemente", "junk-e-mail", "entwürfe", "gesendete elemente", "postausgang", "archiv"}
)
_EXTENSION = re.compile(r"[^\W_][\w-]{0,31}")
_DOMAIN = re.compile(r"[^@\s,/?#]+\Z")
_MAILBOX = re.compile(r"[^@\s,/?#]+@[^@\s,/?#]+\Z")


class DeleteMode(StrEnum):
    """The way in which a stored mail leaves the mailbox."""

    DELETE = "delete"
    PERMANENT = "permanent"


class SweepScope(StrEnum):
    """The messages that the sweep looks at: unread ones, or every message in the inbox."""

    UNREAD = "unread"
    ALL = "all"


class JunkMode(StrEnum):
    """The choice whether the sweep brings the messages of Junk Email into the inbox."""

    NEVER = "never"
    ALWAYS = "always"


class BodyMode(StrEnum):
    """The choice whether a mail's body is stored as a document of its own."""

    NEVER = "never"
    ALWAYS = "always"


class RouteMode(StrEnum):
    """The recipients of a mail that names several tenants: the first named tenant, or all of them."""

    FIRST = "first"
    ALL = "all"


class Scanner(StrEnum):
    """The scanner for malware: none, Defender for Storage, or ClamAV's daemon."""

    OFF = "off"
    DEFENDER = "defender"
    CLAMAV = "clamav"


class AnswerTransport(StrEnum):
    """The way in which answers to senders leave: none, Graph's sendMail, or Azure Communication Services Email."""

    OFF = "off"
    GRAPH = "graph"
    ACS = "acs"


class ScanHold(StrEnum):
    """The documents that the DMS does not see: malicious ones, or all until a scanner found them clean."""

    MALICIOUS = "malicious"
    UNTIL_CLEAN = "until_clean"


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The app's whole configuration. `repr` leaves secrets out."""

    client_id: str
    client_secret: str | None = field(repr=False)
    client_certificate: str | None
    client_secret_expires: date | None
    managed_identity: str | None
    tenant_id: str
    mailboxes: tuple[str, ...]
    authority_host: str
    graph_base_url: str
    notification_url: str
    client_states: tuple[str, ...] = field(repr=False)
    database_url: str = field(repr=False)
    storage_connection: str | None = field(repr=False)
    storage_url: str | None
    container: str
    address_pattern: re.Pattern[str]
    address_domains: frozenset[str]
    route: RouteMode
    quarantine_folder: str
    delete_mode: DeleteMode
    sweep_scope: SweepScope
    sweep_junk: JunkMode
    sweep_limit: int
    tenant_budget: int
    authserv_id: str | None
    lease_seconds: float
    retry_seconds: float
    body: BodyMode
    limits: Limits
    blocked_extensions: frozenset[str]
    allowed_extensions: frozenset[str]
    scanner: Scanner
    scan_hold: ScanHold
    clamd: str | None
    answers: AnswerTransport
    answer_from: str
    answer_endpoint: str | None
    answers_a_day: int
    answer_templates: str | None

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read environment variables. Raises SettingsError that names every setting that is wrong."""
        return _Reader(environ).settings()


def database_url(environ: Mapping[str, str], name: str = "INGEST_DATABASE_URL") -> str:
    """Return a database's URL, for commands that need nothing else. Raises SettingsError."""
    reader = _Reader(environ)
    url = reader.database_url(name)
    reader.raise_problems()
    return url


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueAccount:
    """The account of the queues, as Functions names it: a connection string, or a URL and the app's identity."""

    connection: str | None = field(default=None, repr=False)
    url: str | None = None

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> QueueAccount:
        """Read AzureWebJobsStorage or AzureWebJobsStorage__…. Raises SettingsError."""

        def setting(name: str) -> str | None:
            return environ.get(f"AzureWebJobsStorage{name}", "").strip() or None

        account, url = setting("__accountName"), setting("__queueServiceUri")
        found = cls(
            connection=setting(""), url=url or (f"https://{account}.queue.core.windows.net" if account else None)
        )
        if found.connection is None and found.url is None:
            raise SettingsError(["AzureWebJobsStorage is missing"])
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class AddressSettings:
    """The form of upload addresses, for commands that need nothing else. `domains` in the order of the setting."""

    pattern: re.Pattern[str]
    domains: tuple[str, ...]

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> AddressSettings:
        """Read the settings. Without INGEST_ADDRESS_DOMAINS, `domains` are the mailboxes'. Raises SettingsError."""
        reader = _Reader(environ)
        addresses = reader.addresses()
        reader.raise_problems()
        return addresses


class _Reader(Environment):
    """The settings of this app, each with its own rule."""

    def settings(self) -> Settings:
        secret, certificate = (
            self.optional("AZURE_INGEST_CLIENT_SECRET"),
            self.optional("AZURE_INGEST_CLIENT_CERTIFICATE"),
        )
        identity = self.optional("AZURE_CLIENT_ID")
        if not secret and not certificate and not identity:
            self.wrong(
                "AZURE_INGEST_CLIENT_SECRET",
                "is missing (or set AZURE_INGEST_CLIENT_CERTIFICATE, or AZURE_CLIENT_ID to a managed identity)",
            )
        connection, storage_url = self._storage()
        settings = Settings(
            client_id=self.required("AZURE_INGEST_CLIENT_ID"),
            client_secret=secret,
            client_certificate=certificate,
            client_secret_expires=self.day("AZURE_INGEST_CLIENT_SECRET_EXPIRES"),
            managed_identity=identity,
            tenant_id=self.required("AZURE_INGEST_TENANT_ID"),
            mailboxes=self._mailboxes(),
            authority_host=self.url("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com"),
            graph_base_url=self.url("GRAPH_BASE_URL", "https://graph.microsoft.com/v1.0"),
            notification_url=self._notification_url(),
            client_states=self._client_states(),
            database_url=self.database_url(),
            storage_connection=connection,
            storage_url=storage_url,
            container=self._container(),
            address_pattern=self._pattern(),
            address_domains=frozenset(self._domains()),
            route=self.choice("INGEST_ROUTE", RouteMode.FIRST),
            quarantine_folder=self._quarantine_folder(),
            delete_mode=self.choice("INGEST_DELETE_MODE", DeleteMode.DELETE),
            sweep_scope=self.choice("INGEST_SWEEP_SCOPE", SweepScope.UNREAD),
            sweep_junk=self.choice("INGEST_SWEEP_JUNK", JunkMode.NEVER),
            sweep_limit=int(self.number("INGEST_SWEEP_LIMIT", DEFAULT_SWEEP_LIMIT, at_least=1)),
            authserv_id=self.optional("INGEST_AUTHSERV_ID"),
            tenant_budget=int(self.number("INGEST_TENANT_BUDGET", DEFAULT_TENANT_BUDGET, at_least=0)),
            lease_seconds=self.number("INGEST_LEASE_SECONDS", 600, at_least=1),
            retry_seconds=self.number("INGEST_RETRY_SECONDS", 300, at_least=0.1),
            body=self.choice("INGEST_BODY", BodyMode.NEVER),
            limits=self._limits(),
            blocked_extensions=self._extensions("INGEST_BLOCK_EXTENSIONS"),
            allowed_extensions=self._extensions("INGEST_ALLOW_EXTENSIONS"),
            scanner=(scanner := self.choice("INGEST_SCANNER", Scanner.OFF)),
            scan_hold=self.choice("INGEST_SCAN_HOLD", ScanHold.MALICIOUS),
            clamd=self._clamd(scanner),
            answers=(answers := self.choice("INGEST_ANSWERS", AnswerTransport.OFF)),
            answer_from=self._answer_from(answers),
            answer_endpoint=self._answer_endpoint(answers),
            answers_a_day=int(self.number("INGEST_ANSWERS_A_DAY", DEFAULT_ANSWERS_A_DAY, at_least=1)),
            answer_templates=self.optional("INGEST_ANSWER_TEMPLATES"),
        )
        self.raise_problems()
        return settings

    def addresses(self) -> AddressSettings:
        domains = self._domains()
        if not domains and self.items("AZURE_INGEST_MAILBOX"):
            domains = tuple(mailbox.rpartition("@")[2] for mailbox in self._mailboxes())
        if not domains:
            self.wrong("INGEST_ADDRESS_DOMAINS", "is missing (the domain of the upload addresses)")
        return AddressSettings(pattern=self._pattern(), domains=domains)

    def database_url(self, name: str = "INGEST_DATABASE_URL") -> str:
        url = self.required(name)
        if url and not url.startswith(("postgresql://", "postgres://")):
            self.wrong(name, "must look like postgresql://user:password@host:5432/database")
        elif url and not _is_encrypted_or_local(url):
            self.wrong(name, "must end with sslmode=verify-full (or require; or sslmode=disable, where that is wanted)")
        return url

    def _storage(self) -> tuple[str | None, str | None]:
        connection = self.optional("INGEST_STORAGE")
        storage_url = self.optional("INGEST_STORAGE__blobServiceUri")
        if not connection and not storage_url:
            self.wrong("INGEST_STORAGE", "is missing (or set INGEST_STORAGE__blobServiceUri)")
        if connection and not _is_connection_string(connection):
            self.wrong("INGEST_STORAGE", "must be a storage account's connection string: AccountName=…;AccountKey=…")
        if storage_url and not is_url(storage_url, "https"):
            self.wrong("INGEST_STORAGE__blobServiceUri", "must be an https:// URL without a query")
        return connection, storage_url

    def _mailboxes(self) -> tuple[str, ...]:
        mailboxes = tuple(dict.fromkeys(item.lower() for item in self.required_items("AZURE_INGEST_MAILBOX")))
        for mailbox in mailboxes:
            if not _MAILBOX.match(mailbox):
                self.wrong("AZURE_INGEST_MAILBOX", f"names {mailbox!r}, which is not a mail address")
        return mailboxes

    def _domains(self) -> tuple[str, ...]:
        """Return the upload addresses' domains in lower case, in the setting's order; none where any domain counts."""
        domains = tuple(dict.fromkeys(item.lower().removeprefix("@") for item in self.items("INGEST_ADDRESS_DOMAINS")))
        for domain in domains:
            if not _DOMAIN.match(domain):
                self.wrong("INGEST_ADDRESS_DOMAINS", f"names {domain!r}: write the part behind the @ only")
        return domains

    def _extensions(self, name: str) -> frozenset[str]:
        """Return file name extensions in lower case, without a dot in front."""
        extensions = frozenset(item.lower().removeprefix(".") for item in self.items(name))
        for extension in sorted(extensions):
            if not _EXTENSION.fullmatch(extension):
                self.wrong(name, f"names {extension!r}: write extensions such as iso,mdb")
        return extensions

    def _notification_url(self) -> str:
        host = self.optional("WEBSITE_HOSTNAME")
        url = self.optional("INGEST_NOTIFICATION_URL") or (f"https://{host}" if host else None)
        if url is None:
            self.wrong("INGEST_NOTIFICATION_URL", "is missing (the public base URL of this app)")
            return ""
        # Graph itself insists on https; a local host speaks http.
        if not is_url(url, "https", "http"):
            self.wrong("INGEST_NOTIFICATION_URL", "must be a URL such as https://app.example.net, without a query")
        return url.rstrip("/")

    def _client_states(self) -> tuple[str, ...]:
        states = self.required_items("INGEST_CLIENT_STATE")
        if any(len(state) > MAX_CLIENT_STATE for state in states):
            self.wrong("INGEST_CLIENT_STATE", f"holds a secret of more than {MAX_CLIENT_STATE} characters")
        elif any(re.search(r"\s", state) for state in states):  # the sample's own text, or any other sentence
            self.wrong("INGEST_CLIENT_STATE", "holds a secret with blanks: use a random one (openssl rand -hex 32)")
        elif any(len(state) < MIN_CLIENT_STATE for state in states):
            self.wrong("INGEST_CLIENT_STATE", f"holds a secret of fewer than {MIN_CLIENT_STATE} characters")
        return states

    def _container(self) -> str:
        name = self.optional("INGEST_CONTAINER") or "documents"
        if not re.fullmatch(r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", name):
            self.wrong("INGEST_CONTAINER", "must be 3 to 63 characters: lower-case letters, digits, single dashes")
        return name

    def _quarantine_folder(self) -> str:
        name = self.optional("INGEST_QUARANTINE_FOLDER") or "Quarantine"
        if name.lower() in _EXCHANGE_FOLDERS:
            self.wrong(
                "INGEST_QUARANTINE_FOLDER", "names a folder of Exchange's own: name one that is for Quarantine only"
            )
        return name

    def _pattern(self) -> re.Pattern[str]:
        text = self.optional("INGEST_ADDRESS_PATTERN") or DEFAULT_ADDRESS_PATTERN
        try:
            pattern = re.compile(text, re.IGNORECASE)
        except re.error as error:
            self.wrong("INGEST_ADDRESS_PATTERN", f"is not a regular expression: {error}")
            return re.compile("")
        if "token" not in pattern.groupindex:
            self.wrong("INGEST_ADDRESS_PATTERN", "must have a group named token: (?P<token>…)")
        return pattern

    def _clamd(self, scanner: Scanner) -> str | None:
        """Return clamd's address: the path of a socket, or host:port."""
        address = self.optional("INGEST_CLAMD")
        if address is None and scanner is Scanner.CLAMAV:
            self.wrong("INGEST_CLAMD", "is missing (clamd's address: the path of its socket, or host:port)")
        if address is not None and not re.fullmatch(r"/.+|[^\s/:]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}", address):
            self.wrong("INGEST_CLAMD", "must be the path of a socket, or host:port")
        return address

    def _answer_from(self, answers: AnswerTransport) -> str:
        """Return the address that answers come from: for Graph the first mailbox, where nothing else is set."""
        address = (self.optional("INGEST_ANSWER_FROM") or "").lower()
        if answers is AnswerTransport.ACS and not address:
            self.wrong("INGEST_ANSWER_FROM", "is missing (the sender's address in Communication Services)")
        if address and not _MAILBOX.match(address):
            self.wrong("INGEST_ANSWER_FROM", "must be a mail address")
        return address or next(iter(self.items("AZURE_INGEST_MAILBOX")), "").lower()

    def _answer_endpoint(self, answers: AnswerTransport) -> str | None:
        endpoint = self.optional("INGEST_ANSWER_ENDPOINT")
        if endpoint is None:
            if answers is AnswerTransport.ACS:
                self.wrong("INGEST_ANSWER_ENDPOINT", "is missing (the endpoint of Communication Services)")
            return None
        if not is_url(endpoint, "https"):
            self.wrong("INGEST_ANSWER_ENDPOINT", "must be an https:// URL without a query")
        return endpoint.rstrip("/")

    def _limits(self) -> Limits:
        usual = Limits()
        return Limits(
            depth=int(self.number("INGEST_UNPACK_DEPTH", usual.depth, at_least=0)),
            parts=int(self.number("INGEST_UNPACK_PARTS", usual.parts, at_least=0)),
            expanded_bytes=int(self.number("INGEST_UNPACK_BYTES", usual.expanded_bytes, at_least=0)),
            ratio=self.number("INGEST_UNPACK_RATIO", usual.ratio, at_least=1),
            processor_seconds=self.number("INGEST_UNPACK_PROCESSOR_SECONDS", usual.processor_seconds, at_least=0.1),
            wall_seconds=self.number("INGEST_UNPACK_SECONDS", usual.wall_seconds, at_least=1),
        )


def _is_encrypted_or_local(database_url: str) -> bool:
    """Return whether passwords and rows cross no network in the clear, unless the URL asks for it in so many words.

    Without sslmode, libpq falls back to an unencrypted connection:
    https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-PROTECTION
    """
    try:
        parts = urlsplit(database_url)
        query = parse_qs(parts.query)
        hosts = [*",".join(query.get("host", ())).split(","), *parts.netloc.rpartition("@")[2].split(",")]
    except ValueError:
        return True  # libpq names the fault
    modes = query.get("sslmode", [])
    local = all(
        re.fullmatch(r"(localhost|127\.[\d.]+|\[?::1\]?|(/|%2f).*)?(:\d*)?", host, re.IGNORECASE) for host in hosts
    )
    return local or bool(modes and modes[-1] in {"disable", "require", "verify-ca", "verify-full"})


def _is_connection_string(text: str) -> bool:
    """Return whether the text names a storage account in the form that the SDK reads."""
    pairs = [pair.partition("=") for pair in text.rstrip(";").split(";")]
    names = {name.lower() for name, _, _ in pairs}
    return all(equals for _, equals, _ in pairs) and bool(
        names & {"accountname", "blobendpoint", "usedevelopmentstorage"}
    )
