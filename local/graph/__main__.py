"""`python -m local.graph`: run the simulator until SIGTERM or Ctrl-C.

The secret of its one app is AZURE_INGEST_CLIENT_SECRET in the environment.
"""

import argparse
import asyncio
import os
import signal
import sys
import uuid
from pathlib import Path

from local.graph.config import Config, FederatedCredential, Limits
from local.graph.simulator import run

_SECRET = "AZURE_INGEST_CLIENT_SECRET"  # noqa: S105 - the name of a variable


def main() -> None:
    """Read the command line and run."""
    config = _config(_parser().parse_args())
    try:
        asyncio.run(_run(config))
    except (OSError, ValueError) as error:
        # A port that is taken, a directory that can't be written, a certificate that is none.
        sys.exit(f"python -m local.graph: {error}")


async def _run(config: Config) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    await run(config, stop)


def _federated_credential(given: list[str] | None) -> FederatedCredential | None:
    if given is None:
        return None
    issuer, subject, certificate = given
    return FederatedCredential(issuer=issuer, subject=subject, certificate=Path(certificate))


def _config(options: argparse.Namespace) -> Config:
    return Config(
        data=options.data,
        mailboxes=tuple(options.mailbox),
        tenant_id=str(options.tenant_id),
        client_id=options.client_id,
        client_secret=_client_secret(),
        client_certificate=options.client_certificate,
        federated_credential=_federated_credential(options.federated_credential),
        port=options.port,
        smtp_port=options.smtp_port,
        admin_port=options.admin_port,
        traffic=options.traffic,
        retry_base=options.retry_base,
        token_lifetime=options.token_lifetime,
        subscription_token_lifetime=options.subscription_token_lifetime,
        accept_duplicate_subscriptions=options.accept_duplicate_subscriptions,
        delete_to=options.delete_to,
        check_folder=options.folder_scope == "checked",
        changing_mime=options.changing_mime,
        limits=Limits(concurrent_requests=options.concurrent_requests, requests_per_window=options.requests_per_window),
    )


def _client_secret() -> str:
    secret = os.environ.get(_SECRET)
    if not secret:
        sys.exit(f"python -m local.graph: {_SECRET} in the environment must be the secret of the app")
    return secret


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.graph", description=__doc__)
    add = parser.add_argument
    add(
        "--data",
        type=Path,
        required=True,
        help="directory for mails and the CA file; its content/ is emptied",
    )
    add("--mailbox", action="append", required=True, help="address; repeatable, the first is the catch-all")
    add("--tenant-id", type=uuid.UUID, required=True)
    add("--client-id", required=True)
    add("--client-certificate", type=Path, help="PEM of the certificate that signs client assertions")
    add(
        "--federated-credential",
        nargs=3,
        metavar=("ISSUER", "SUBJECT", "PEM"),
        help="an identity that the app trusts in the place of a secret, and the certificate of its issuer's key",
    )
    add("--port", type=int, default=0, help="of Graph and the authority; 0: any free one")
    add("--smtp-port", type=int, default=0)
    add("--admin-port", type=int, default=0)
    add("--traffic", type=Path, help="append every exchange to this file, as JSON lines")
    add("--retry-base", type=float, default=10.0, help="seconds before the first retry of a notification")
    add("--token-lifetime", type=float, default=3599.0, help="seconds")
    add(
        "--subscription-token-lifetime",
        type=float,
        default=3600.0,
        help="seconds until a subscription must be reauthorized",
    )
    add("--accept-duplicate-subscriptions", action="store_true", help="instead of answering 409")
    add(
        "--delete-to",
        choices=("recoverableitemsdeletions", "deleteditems"),
        default="recoverableitemsdeletions",
    )
    add(
        "--folder-scope",
        choices=("checked", "ignored"),
        default="checked",
        help="paths below a folder answer 404 for a message that lies elsewhere, or find the message all the same",
    )
    add("--changing-mime", action="store_true", help="other MIME boundaries each time a mail is read by $value")
    add("--concurrent-requests", type=int, default=4, help="at a time, per mailbox, before 429")
    add("--requests-per-window", type=int, default=10_000, help="in 10 minutes, per mailbox, before 429")
    return parser


if __name__ == "__main__":
    main()
