"""The whole system on this machine: `python -m local up`, and commands that use what runs."""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import psycopg
from rich.markup import escape

from local.documents import show_documents
from local.drill import DrillError, run_drill
from local.environment import NAME as ENVIRONMENT
from local.environment import read_environment
from local.functions_host.process import CoreToolsMissingError
from local.graph.process import GraphEndpoint
from local.postgres import PostgresError
from local.processes import ChildFailedError
from local.stack import Stack, StackError, empty
from local.tenants import DEMO_TENANTS
from local.terminal import console, step
from operations.schema.migrations import MigrationError

_DATA = Path(os.environ.get("LOCAL_DATA", ".local"))  # the file `env` of a stack names its directory
_EMPTIED = "folder of its databases, blobs and logs, emptied first"


def main() -> int:
    """Run what the command line asks for; the exit code."""
    if sys.argv[1:2] == ["ingest"]:  # not by the parser: the options that follow are the other program's
        options = argparse.Namespace(command=_ingest, arguments=sys.argv[2:])
    else:
        options = _parser().parse_args()
    # A closed terminal and a stopped service end the stack as Ctrl-C does.
    signal.signal(signal.SIGTERM, _interrupt)
    if sys.platform != "win32":
        signal.signal(signal.SIGHUP, _interrupt)
    try:
        result: int = options.command(options)
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 0
    except (ChildFailedError, DrillError, MigrationError, CoreToolsMissingError, PostgresError, StackError) as error:
        console.print(f"[red]✗[/] {escape(str(error))}")
        return 1
    return result


def _up(options: argparse.Namespace) -> int:
    stack = Stack(
        options.data,
        hosts=options.hosts,
        graph=_graph(options),
        kind=options.host,
        step=step,
    )
    with stack:
        for name in DEMO_TENANTS:
            stack.add_tenant(name)
        _print_addresses(stack)
        try:
            ended = _follow(stack)
        except KeyboardInterrupt:
            console.print("\nStopping; a host ends what it is at.")
            raise
    raise StackError(f"{ended} ended by itself; its log is in {stack.data}.")


def _follow(stack: Stack) -> str:
    """Show what the hosts log, until a part of the stack ends by itself; its name."""
    with ExitStack() as files:
        logs = [files.enter_context(host.log.open(errors="replace")) for host in stack.hosts]
        for log in logs:
            log.seek(0, os.SEEK_END)
        while (ended := stack.ended()) is None:
            for log in logs:
                sys.stdout.write(log.read())
            sys.stdout.flush()
            time.sleep(0.2)
    return ended


def _documents(options: argparse.Namespace) -> int:
    return show_documents(options.data)


def _ingest(options: argparse.Namespace) -> int:
    """Run `python -m ingest` with the environment of the running stack; the exit code."""
    variables = _variables()
    command = [sys.executable, "-m", "ingest", *options.arguments]
    return subprocess.run(command, env=os.environ | variables, check=False).returncode  # noqa: S603 - our own program


def _sql(options: argparse.Namespace) -> int:
    """Run SQL as the owner of the database and print the rows; the exit code."""
    with psycopg.connect(_variables()["INGEST_OWNER_DATABASE_URL"], autocommit=True) as connection:
        try:
            cursor = connection.execute(options.statements)
        except psycopg.Error as error:
            console.print(f"[red]✗[/] {escape(str(error))}")
            return 1
        for row in cursor if cursor.description else ():
            console.print(*(escape(str(value)) for value in row), sep="  ")
        console.print(cursor.statusmessage or "")
    return 0


def _variables() -> Mapping[str, str]:
    """Return the environment of the running stack. Raises StackError where none has run."""
    try:
        return read_environment(_DATA / ENVIRONMENT)
    except FileNotFoundError:
        raise StackError(f"No stack is running on {_DATA}. Start it with: make up") from None


def _rehearse(options: argparse.Namespace) -> int:
    from local.rehearsal import STEPS, lay_out, start_app  # noqa: PLC0415 - only this command needs it

    empty(options.data)
    with lay_out(options.data.absolute()) as stack:
        console.print(STEPS.format(data=options.data, smtp=_smtp(stack)), markup=False)
        try:
            with step("The app waits for its rights in the database"):
                start_app(stack, stack.ended)
            ended = _follow(stack)
        except KeyboardInterrupt:
            console.print("\nStopping; a host ends what it is at.")
            raise
    raise StackError(f"{ended} ended by itself; its log is in {stack.data}.")


def _demo(options: argparse.Namespace) -> int:
    from local.demo.run import run_demo  # noqa: PLC0415 - what makes PDFs is slow to import, and only wanted here

    return run_demo(options.data)


def _trace(options: argparse.Namespace) -> int:
    from local.trace.waterfall import trace_one_mail  # noqa: PLC0415 - only this command needs it

    return trace_one_mail(options.data, latency=options.latency, picture=options.picture)


def _drill(options: argparse.Namespace) -> int:
    return run_drill(options.data)


def _print_addresses(stack: Stack) -> None:
    console.print()
    if stack.simulator is not None:
        console.print(f"Send mails with any mail program over SMTP to {_smtp(stack)} (no encryption, no password), to:")
    else:
        console.print(f"Mails are expected in {', '.join(stack.identity.mailboxes)}, addressed to:")
    for tenant in stack.tenants:
        console.print(f"  {tenant.name:<20} [bold]{tenant.address}[/]")
    console.print(f"All addresses, URLs and passwords are in {stack.data / 'stack.json'}.")
    console.print("What has been stored: .venv/bin/python -m local documents")
    console.print("The operator's commands: .venv/bin/python -m local ingest --help")
    console.print("The app's log follows. Ctrl-C stops everything.\n")


def _smtp(stack: Stack) -> str:
    assert stack.simulator is not None  # noqa: S101 - the caller has looked
    return f"{stack.simulator.smtp_host}, port {stack.simulator.smtp_port}"


def _graph(options: argparse.Namespace) -> GraphEndpoint | None:
    if options.graph_base_url is None:
        return None
    return GraphEndpoint(graph_base_url=options.graph_base_url, authority_host=options.authority_host, ca_file=None)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(
        required=True, metavar="up | rehearse | documents | ingest | sql | demo | drill | trace"
    )

    def add(
        name: str, run: Callable[[argparse.Namespace], int], text: str, data: Path | None = None, which: str = _EMPTIED
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        command.set_defaults(command=run)
        if data is not None:
            command.add_argument("--data", metavar="DIR", type=Path, default=data, help=f"{which} (%(default)s)")
        return command

    up = add("up", _up, "start the stack and keep it until Ctrl-C", _DATA, "folder of its databases, blobs and logs")
    up.add_argument(
        "--host",
        choices=("stand-in", "func"),
        default="stand-in",
        help="what runs the app: this repository's stand-in, or Azure Functions Core Tools (%(default)s)",
    )
    up.add_argument("--hosts", metavar="N", type=int, default=1, help="how many hosts share the queues (%(default)s)")
    up.add_argument(
        "--graph-base-url",
        metavar="URL",
        help="another Graph endpoint in the place of the simulator, such as "
        "https://graph.microsoft.com/v1.0; AZURE_INGEST_… in the environment say who the app is there",
    )
    up.add_argument(
        "--authority-host",
        metavar="URL",
        default="https://login.microsoftonline.com",
        help="the token endpoint of that Graph (%(default)s)",
    )
    add("rehearse", _rehearse, "start beside a DMS that has not moved over yet", Path(".local/rehearsal"))
    sql = add("sql", _sql, "run SQL as the owner of the running stack's database")
    sql.add_argument("statements", metavar="SQL", help="a statement; its rows are printed")
    add("documents", _documents, "list what the running stack has stored", _DATA, "folder of that stack")
    commands.add_parser("ingest", help="run `python -m ingest …` against the running stack", add_help=False)
    add("demo", _demo, "send a dozen mails through the stack and check where they ended", Path(".local/demo"))
    add(
        "drill",
        _drill,
        "lose each store and both, move to another region, and bring every mail back",
        Path(".local/drill"),
    )
    trace = add("trace", _trace, "send one mail and show where its time goes, call by call", Path(".local/trace"))
    trace.add_argument(
        "--latency", metavar="MS", type=float, default=50, help="ms that a request to Graph takes (%(default)s)"
    )
    trace.add_argument(
        "--picture", metavar="FILE", type=Path, default=Path(".local/trace.svg"), help="an SVG (%(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
