"""Pictures of the console's pages for the README: `python -m local.demo.pictures`.

Sends the demo's mails through a stack, opens the console in Chromium, and writes docs/pictures/console-*.png, in
light and dark.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, ViewportSize, sync_playwright

from local.demo.console import running_console
from local.demo.run import run_mails
from local.stack import Stack
from local.tenants import DEMO_TENANTS
from local.terminal import console, step

PICTURES = Path("docs/pictures")
SIZE: ViewportSize = {"width": 1200, "height": 800}
SUBJECT = "XRechnung"


def main() -> int:
    """Write the pictures. Return 1 where no Chromium is found."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        console.print("There is no Chromium on the PATH (Debian: apt-get install chromium).")
        return 1
    data = Path(".local/pictures")
    shutil.rmtree(data, ignore_errors=True)
    PICTURES.mkdir(parents=True, exist_ok=True)
    with Stack(data, step=step) as stack, sync_playwright() as playwright:
        run_mails(stack, [stack.add_tenant(name) for name in DEMO_TENANTS])
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for scheme in ("light", "dark"):
            with running_console(stack) as link:
                _take(browser, link, scheme)
        browser.close()
    return 0


def _take(browser: Browser, link: str, scheme: str) -> None:
    context = browser.new_context(viewport=SIZE, locale="en-GB", color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    page.goto(link)
    base = page.url.rstrip("/")
    page.screenshot(path=PICTURES / f"console-overview-{scheme}.png")
    page.goto(f"{base}/mails")
    page.screenshot(path=PICTURES / f"console-mails-{scheme}.png")
    page.goto(f"{base}/mails?q={SUBJECT}")
    page.locator("#found tbody a").first.click()
    page.get_by_role("link", name="Preview").first.click()
    page.locator(".invoice").wait_for()
    page.screenshot(path=PICTURES / f"console-mail-{scheme}.png", full_page=True)
    page.goto(f"{base}/quarantine")
    page.screenshot(path=PICTURES / f"console-quarantine-{scheme}.png")
    context.close()


if __name__ == "__main__":
    sys.exit(main())
