"""Ask the console for one tenant's mails, as the DMS does for a signed-in customer. Copy it."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

import jwt

AUDIENCE = "mail-entrance"
SECONDS = 60


def tenant_history(console_url: str, private_key: str, tenant_id: object, language: str = "de") -> list[dict[str, Any]]:
    """Return the tenant's newest mails, rejected ones with `reason_in_words`.

    `private_key`: PEM, Ed25519; the console has the public half. `language`: `de` or `en`.

    Call it on the server only: a browser must never hold the key or the token.
    """
    now = int(time.time())
    claims = {"sub": str(tenant_id), "aud": AUDIENCE, "iat": now, "exp": now + SECONDS}
    request = urllib.request.Request(  # noqa: S310 - the DMS's own setting
        f"{console_url}/tenant/history",
        headers={
            "Authorization": f"Bearer {jwt.encode(claims, private_key, algorithm='EdDSA')}",
            "Accept-Language": language,
        },
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - likewise
        mails: list[dict[str, Any]] = json.load(answer)["mails"]
    return mails
