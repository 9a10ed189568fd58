"""The console in a real browser, over the running system."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from http import HTTPStatus

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    StorageState,
    expect,
    sync_playwright,
)

from local.demo.console import running_console
from local.stack import Stack
from local.tenants import LocalTenant
from operations.audit import Account
from operations.tenants.senders import SenderMode, Senders
from tests.integration.samples import MAILS
from tests.integration.stores import copies

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# No sandbox, as tests may run as root; nothing that calls home.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PREVIEWS = 3  # looked at of one mail
# The parts of each mail that have a preview. In one question: one to the browser costs some hundredths of a second, and
# to open a page a quarter.
DESCRIBED = """async mails => {
    const all = []
    for (const mail of mails) {
        const answer = await fetch(mail)
        const page = new DOMParser().parseFromString(await answer.text(), "text/html")
        const parts = [...page.querySelectorAll(".tree > li")].filter(part => part.querySelector("a[hx-target]"))
        all.push([answer.status, parts.map(part =>
            [part.querySelector("div.quiet").textContent, part.querySelector("details code").textContent])])
    }
    return all
}"""
PATIENCE = 120_000  # milliseconds, for a machine that does much else
PHONE = {"width": 390, "height": 844}
PDF = b"%PDF-1.7\n%%EOF\n"

pytestmark = [
    pytest.mark.shares("samples"),
    pytest.mark.usefixtures("unmeasured"),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium"),
]


@dataclass(frozen=True, kw_only=True)
class Console:
    """A running console: its address, and the cookies of the person who opened it."""

    url: str
    signed_in: StorageState = field(repr=False)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def stack(stack_with_samples: Stack) -> Stack:
    return stack_with_samples


@pytest.fixture(scope="module")
def console(browser: Browser, stack: Stack) -> Iterator[Console]:
    """One process of the console for all tests. The link that opens the page works once."""
    with running_console(stack) as link, browser.new_context() as context:
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.goto(link)
        yield Console(url=page.url.rstrip("/"), signed_in=context.storage_state())


@pytest.fixture
def context(browser: Browser, console: Console, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """A browser of its own, signed in; a test's parameters may choose language, size and colours."""
    parameters = {"locale": "en-GB", **getattr(request, "param", {})}
    with browser.new_context(storage_state=console.signed_in, **parameters) as context:
        context.set_default_timeout(PATIENCE)
        yield context


@pytest.fixture
def page(context: BrowserContext, console: Console) -> Iterator[Page]:
    """The first page. Errors in the browser's console fail the test.

    No error is the browser's report that the sandbox of a preview has stopped a script.
    """
    page = context.new_page()
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        stopped = message.text.startswith("Blocked script execution in ") and "/content/" in message.text
        if message.type == "error" and not stopped:
            errors.append(message.text)

    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", note)
    page.goto(console.url)
    yield page
    assert errors == []


def deliver(stack: Stack, to: str, subject: str, sender: str = "billing@supplier.example") -> str:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, to, subject
    mail.set_content("Anbei die Rechnung.")
    mail.add_attachment(PDF, maintype="application", subtype="pdf", filename="rechnung.pdf")
    (message,) = stack.admin.deliver(mail.as_bytes(), [stack.identity.mailboxes[0]])
    return message.id


def hold(stack: Stack, tenant: LocalTenant) -> None:
    """Let mails of senders that are not on the tenant's list wait."""
    senders, why = Senders(stack.postgres.owner_url), Account(why="a test")
    senders.set_mode(tenant.id, SenderMode.HOLD, why)
    senders.allow(tenant.id, ["on-the-list.example"], why)


def test_a_mail_is_found_by_its_sender_as_one_types(stack: Stack, page: Page) -> None:
    tenant = stack.add_tenant("Suchmann KG")
    stack.wait_for_end(deliver(stack, tenant.address, "Rechnung 4711", "anna@find-me.example"), "deleted")
    page.get_by_role("link", name="Mails", exact=True).click()
    page.wait_for_url("**/mails")  # and its script, which answers to typing
    page.get_by_role("searchbox").press_sequentially("find-me today")
    expect(page.locator("#found tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Rechnung 4711").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Rechnung 4711")
    expect(page.locator(".timeline")).to_contain_text("Deleted from the mailbox")
    expect(page.get_by_text("rechnung.pdf")).to_be_visible()


def test_a_quarantined_mail_is_assigned_and_its_document_is_there(stack: Stack, page: Page) -> None:
    tenant = stack.add_tenant("Zugeordnet GmbH")
    mail = deliver(stack, "upload.00000000000000000000000000000000@dms.cloud", "Falsche Adresse 815")
    stack.wait_for_end(mail, "Quarantine")
    page.get_by_role("link", name="Quarantine", exact=True).click()
    page.get_by_role("checkbox", name="Choose the mail Falsche Adresse 815").check()
    page.get_by_label("Why (is recorded)").fill("The supplier was asked")
    page.get_by_label("Tenant (name or number)").fill(tenant.name)
    page.get_by_role("button", name="Assign to the tenant").click()
    expect(page.get_by_role("status").first).to_contain_text("1 mails are stored for the tenant")
    assert [whose for whose, _ in copies(stack, mail)] == [tenant.id]
    page.get_by_role("link", name="Mails", exact=True).click()
    page.wait_for_url("**/mails")  # and its script, which answers to typing
    page.get_by_role("searchbox").fill("Falsche Adresse 815")
    page.get_by_role("link", name="Falsche Adresse 815").click()
    expect(page.get_by_text("rechnung.pdf")).to_be_visible()
    page.get_by_role("link", name="Record", exact=True).click()
    expect(page.locator("tbody tr").first).to_contain_text("The supplier was asked")


def test_a_deleted_mail_comes_back(stack: Stack, page: Page) -> None:
    mail = deliver(stack, "nobody@dms.cloud", "Aus Versehen gelöscht")
    stack.wait_for_end(mail, "Quarantine")
    page.get_by_role("link", name="Quarantine", exact=True).click()
    page.get_by_role("checkbox", name="Choose the mail Aus Versehen gelöscht").check()
    page.get_by_label("Why (is recorded)").fill("spam")
    page.get_by_role("button", name="Delete").click()
    stack.wait_for_end(mail, "deleted")
    page.get_by_role("button", name="Undo").click()
    stack.wait_for_end(mail, "Quarantine")


def test_every_sample_can_be_looked_at(console: Console, page: Page) -> None:
    page.goto(f"{console.url}/mails?q=Muster")
    mails = [str(link.get_attribute("href")) for link in page.locator("#found tbody a").all()]
    assert len(mails) >= len(MAILS)
    seen: set[str] = set()
    for mail, (status, parts) in zip(mails, page.evaluate(DESCRIBED, mails), strict=True):
        assert status == HTTPStatus.OK, mail
        kinds = [kind_of(*part) for part in parts[:PREVIEWS]]
        if not seen.issuperset(kinds):
            page.goto(console.url + mail)
            look_at_parts(page, kinds, seen)
    assert len(seen) > 20


# A script, a handler and a link that would leave their mark on the page or open a dialog.
HOSTILE_HTML = b"""<!doctype html><title>x</title><body onload="alert(1)"><p>Only text</p>
<script>document.body.textContent = "hacked"; top.document.title = "hacked"; alert(2)</script></body>"""
HOSTILE_SVG = b"""<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40" onload="alert(3)">
<rect width="40" height="40"/><script>top.document.title = "hacked"; alert(4)</script></svg>"""


@pytest.mark.parametrize("context", [{"viewport": PHONE}], indirect=True)
def test_html_and_svg_with_a_script_and_a_name_of_255_characters_are_shown_and_run_nothing(
    stack: Stack, console: Console, page: Page
) -> None:
    names = {"html": "h" * 250 + ".html", "svg": "s" * 251 + ".svg"}
    assert {len(name) for name in names.values()} == {255}
    tenant = stack.add_tenant("Feindlich UG")
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "billing@supplier.example", tenant.address, "Feindselig"
    mail.set_content("Anbei.")
    mail.add_attachment(HOSTILE_HTML, maintype="text", subtype="html", filename=names["html"])
    mail.add_attachment(HOSTILE_SVG, maintype="image", subtype="svg+xml", filename=names["svg"])
    (message,) = stack.admin.deliver(mail.as_bytes(), [stack.identity.mailboxes[0]])
    stack.wait_for_end(message.id, "deleted")
    dialogs: list[str] = []
    stopped: list[str] = []

    def note_dialog(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    def note_stop(message: ConsoleMessage) -> None:
        if message.text.startswith("Blocked script execution in "):
            stopped.append(message.text)

    page.on("dialog", note_dialog)
    page.on("console", note_stop)
    page.goto(f"{console.url}/mails?q=Feindselig")
    page.get_by_role("link", name="Feindselig").click()
    parts = page.locator(".tree > li")
    parts.filter(has_text="hhhh").get_by_role("link", name="Preview").click()
    expect(page.frame_locator("iframe.preview").locator("body")).to_have_text("Only text")
    parts.filter(has_text="ssss").get_by_role("link", name="Preview").click()
    picture = page.locator("img.preview")
    picture.scroll_into_view_if_needed()
    expect(picture).to_have_js_property("naturalWidth", 40)
    assert dialogs == []
    assert "hacked" not in page.title()
    assert stopped, "the browser reports the script that the sandbox has stopped"
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def kind_of(described: str, sha256: str) -> str:
    """The types, the flags and the magnitude of the size, which make a preview; of an XML, its hash."""
    return sha256 if "xml" in described else re.sub(r"\d", "9", described)


def look_at_parts(page: Page, kinds: Sequence[str], seen: set[str]) -> None:
    """Open the previews of the first parts. `seen`: the kinds of parts that an earlier mail has shown."""
    parts = page.locator(".tree > li").filter(has=page.locator("a[hx-target]"))
    for number, kind in enumerate(kinds):
        if kind in seen:
            continue
        seen.add(kind)
        link = parts.nth(number).get_by_role("link", name="Preview")
        link.click()
        shown = page.locator(f"{link.get_attribute('hx-target')} > *")
        expect(shown.first).to_be_visible()
        for picture in shown.locator("xpath=self::img").all():
            picture.scroll_into_view_if_needed()
            expect(picture).not_to_have_js_property("naturalWidth", 0)


@pytest.mark.parametrize(
    "context", [{"locale": "de-DE", "viewport": PHONE, "color_scheme": "dark"}, {"locale": "en-GB"}], indirect=True
)
def test_no_page_has_a_serious_barrier(stack: Stack, console: Console, page: Page) -> None:
    tenant = stack.add_tenant("Barrierefrei eG")
    stack.wait_for_end(deliver(stack, tenant.address, "Rechnung ohne Hürden"), "deleted")
    stack.wait_for_end(deliver(stack, "nobody@dms.cloud", "Ohne Adresse"), "Quarantine")
    page.goto(f"{console.url}/mails?q=Hürden")
    mail = page.locator("#found tbody a").first.get_attribute("href")
    hold(stack, tenant)
    stack.wait_for_end(deliver(stack, tenant.address, "Wartet auf eine Person"), "deleted")
    lists = f"/senders?tenant={tenant.id}"
    for path in ("/", "/mails", str(mail), "/quarantine", "/held", "/senders", lists, "/audit"):
        page.goto(console.url + path)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{path} scrolls sideways"
        found = [
            f"{path}: {finding['id']}"
            for finding in Axe().run(page).response["violations"]
            if finding["impact"] in {"serious", "critical"}
        ]
        assert found == []


def test_everything_is_reached_by_keyboard(stack: Stack, page: Page) -> None:
    tenant = stack.add_tenant("Tastatur AG")
    stack.wait_for_end(deliver(stack, tenant.address, "Nur mit Tasten"), "deleted")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    while page.locator(":focus").inner_text() != "Mails":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/mails")  # and its script, which answers to typing
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("tasten")
    expect(page.locator("#found tbody tr")).to_have_count(1)
    while page.locator(":focus").inner_text() != "Nur mit Tasten":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Nur mit Tasten")


@pytest.mark.parametrize("context", [{"java_script_enabled": False}], indirect=True)
def test_reading_needs_no_script(stack: Stack, page: Page) -> None:
    tenant = stack.add_tenant("Skriptlos OHG")
    stack.wait_for_end(deliver(stack, tenant.address, "Ohne Skript"), "deleted")
    page.get_by_role("link", name="Mails", exact=True).click()
    page.get_by_role("searchbox").fill("skript")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Ohne Skript").click()
    expect(page.get_by_text("rechnung.pdf")).to_be_visible()
