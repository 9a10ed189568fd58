"""Who may import what, and what a cold start does not."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("ingest", "subscriptions", "operations")
APP = [ROOT / "function_app.py", *(path for name in PACKAGES for path in sorted(ROOT.glob(f"{name}/**/*.py")))]

# What each module may see of the app besides `codes`, `errors` and `model`.
VALUES = {"ingest.codes", "ingest.model", "ingest.errors"}
TOLD = VALUES | {"ingest.log", "ingest.trace"}
UNPACKING = VALUES | {"ingest.spool", "ingest.unpacking.bounded", "ingest.unpacking.container"}
FORMATS = {"ingest.unpacking.cms", "ingest.unpacking.msg", "ingest.unpacking.tnef", "ingest.unpacking.zip"}
ALLOWED = {
    "ingest.codes": set(),
    "ingest.errors": {"ingest.codes"},
    "ingest.model": {"ingest.codes", "ingest.errors"},
    "ingest.postgres": set(),
    "ingest.queues": set(),
    "ingest.trace": set(),
    "ingest.log": {"ingest.errors"},
    "ingest.settings": VALUES,
    "ingest.routing": VALUES | {"ingest.settings"},
    "ingest.media_types": set(),
    "ingest.unpacking.container": VALUES,
    "ingest.unpacking.bounded": VALUES,
    "ingest.unpacking.cms": UNPACKING,
    "ingest.unpacking.mime": UNPACKING | {"ingest.content_ids"},
    "ingest.unpacking.msg": UNPACKING | {"ingest.content_ids", "ingest.media_types"},
    "ingest.unpacking.tnef": UNPACKING | {"ingest.content_ids"},
    "ingest.unpacking.zip": UNPACKING,
    "ingest.detection": {"ingest.errors", "ingest.media_types", *FORMATS},
    "ingest.pdf": VALUES | {"ingest.einvoice", "ingest.spool", "ingest.unpacking.bounded"},
    "ingest.sorting": VALUES
    | {"ingest.detection", "ingest.einvoice", "ingest.media_types", "ingest.parts", "ingest.pdf", "ingest.spool"}
    | {"ingest.unpacking.container", "ingest.unpacking.mime", *FORMATS},
    "ingest.parts": VALUES | {"ingest.media_types"},
    "ingest.einvoice": VALUES,
    "ingest.spool": VALUES,
    "ingest.ports": VALUES,
    "ingest.graph": TOLD,
    "ingest.blobs": TOLD,
    "ingest.records": TOLD | {"ingest.postgres"},
    "ingest.gate": TOLD | {"ingest.postgres"},
    "ingest.content_ids": set(),
    "ingest.mailbox": TOLD | {"ingest.content_ids", "ingest.graph", "ingest.settings"},
    "ingest.filing": TOLD
    | {"ingest.ports", "ingest.sorting", "ingest.spool", "ingest.unpacking.container", "ingest.unpacking.mime"},
    "ingest.pipeline": TOLD | {"ingest.ports", "ingest.filing", "ingest.routing", "ingest.settings"},
    "ingest.sweep": TOLD | {"ingest.ports"},
    # The operator's: nothing that runs in Azure reaches them.
    "operations.preflight": set(),
    "operations.migrations": VALUES | {"operations.preflight"},
    "operations.database": VALUES | {"ingest.postgres"},
    "operations.inspection": VALUES | {"operations.database"},
    "operations.tenants": VALUES | {"operations.database"},
    "operations.verification": VALUES | {"operations.database"},
    "operations.addresses": VALUES | {"ingest.routing", "ingest.settings"},
    "operations.quarantine": VALUES | {"ingest.graph", "ingest.mailbox"},
    "subscriptions.notifications": VALUES,
    "subscriptions.plan": {"ingest.settings"},
    "subscriptions.renew": TOLD | {"subscriptions.plan"},
    "subscriptions.api": TOLD | {"ingest.graph", "subscriptions.plan"},
}
# They put the others together, and so may see all of them.
ROOTS = {"function_app", "ingest.wiring", "subscriptions.maintenance", "ingest.__main__"}
# The one module that may import an SDK, of those that the functions reach; the operator's commands have their own.
OWNERS = {
    "azure.functions": {"function_app"},
    "msal": {"ingest.graph"},
    "requests": {"ingest.graph"},
    "urllib3": {"ingest.graph"},
    "azure.storage": {"ingest.blobs"},
    "azure.identity": {"ingest.blobs"},
    "psycopg": {"ingest.records", "ingest.gate"},
    "psycopg_pool": {"ingest.records"},
    "alembic": set(),  # operations/ only
    "olefile": {"ingest.unpacking.msg"},
    "pypdf": {"ingest.pdf"},
    "puremagic": {"ingest.detection"},
    "sqlalchemy": set(),  # operations/ only
    "typer": set(),  # commands/ only
}
HEAVY = tuple(OWNERS.keys() - {"azure.functions"})


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): ast.parse(path.read_text()) for path in APP}


def imports(module: str) -> Iterator[str]:
    """Dotted names of whatever a module imports anywhere in it, type-checking blocks included."""
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else str(node.module)


def is_of(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("module", ALLOWED)
def test_a_module_sees_of_the_app_only_what_it_is_built_on(module: str) -> None:
    seen = {name for name in imports(module) if any(is_of(name, package) for package in PACKAGES)}
    assert seen - set(PACKAGES) <= ALLOWED[module]


def test_every_module_has_its_place() -> None:
    packages = {name_of(path) for path in APP if path.name == "__init__.py"}
    assert ALLOWED.keys() | ROOTS | packages == MODULES.keys()
    assert not ALLOWED.keys() & ROOTS
    assert [name for package in packages for name in imports(package)] == []


@pytest.mark.parametrize("module", sorted(MODULES.keys() - {"ingest.__main__"}))
def test_nothing_but_the_command_line_knows_its_commands(module: str) -> None:
    assert not [name for name in imports(module) if is_of(name, "commands")]


def reached(module: str) -> set[str]:
    """A module with all that it imports of the app, directly or not."""
    found, todo = set[str](), {module}
    while todo:
        found |= todo
        todo = {name for one in todo for name in imports(one) if name in MODULES} - found
    return found


@pytest.mark.parametrize("module", sorted(reached("function_app")))
def test_an_sdk_has_one_importer(module: str) -> None:
    for name in imports(module):
        for package, owners in OWNERS.items():
            assert not is_of(name, package) or module in owners, f"{module} imports {name}"


def test_what_runs_in_azure_reaches_nothing_of_the_operators() -> None:
    assert not [name for name in reached("function_app") if is_of(name, "operations")]


@pytest.mark.parametrize("module", ["ingest.codes", "ingest.errors", "ingest.model", "ingest.trace", "ingest.log"])
def test_the_ground_is_the_standard_library(module: str) -> None:
    outside = [name for name in imports(module) if name.partition(".")[0] not in sys.stdlib_module_names]
    assert all(is_of(name, "ingest") for name in outside)


@pytest.mark.parametrize("module", [name for name in MODULES if is_of(name, "ingest")])
def test_ingest_knows_nothing_of_subscriptions(module: str) -> None:
    assert not [name for name in imports(module) if is_of(name, "subscriptions")]


@pytest.mark.parametrize("module", MODULES)
def test_nothing_of_the_app_needs_what_is_never_deployed(module: str) -> None:
    assert not [name for name in imports(module) if any(is_of(name, other) for other in ("local", "tests", "bench"))]


def test_a_cold_start_loads_no_sdk() -> None:
    # A webhook handshake has ten seconds, starting the instance included.
    script = "import sys, function_app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - our own interpreter
    loaded = done.stdout.split()
    assert "function_app" in loaded
    assert [name for name in loaded if name in HEAVY] == []
