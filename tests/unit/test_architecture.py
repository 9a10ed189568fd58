"""The imports that each room may make, and those that a cold start must not make."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("ingest", "subscriptions", "scanning", "answers", "checks", "operations")
APP = [ROOT / "function_app.py", *(path for name in PACKAGES for path in sorted(ROOT.glob(f"{name}/**/*.py")))]

# The rooms, each with the rooms that it may see besides itself. A module belongs to the first room that names it.
KERNEL = {
    f"ingest.{name}"
    for name in (
        "codes",
        "environment",
        "errors",
        "log",
        "http_adapter",
        "ports",
        "queues",
        "settings",
        "trace",
    )
}
STORY = {
    f"ingest.{name}"
    for name in (
        "claims",
        "ends",
        "fallback",
        "filing",
        "original",
        "pipeline",
        "reading",
        "refusals",
        "rejections",
        "answers",
        "routing",
        "suspects",
        "sweep",
        "transfer",
        "attempts",
    )
}
ADAPTERS = {"graph", "documents", "storage"}
WHOLE_APP = {"kernel", *ADAPTERS, "story", "wiring", "subscriptions", "maintenance", "scanning", "answers", "checks"}
ROOMS: dict[str, set[str]] = {
    "kernel": set(),
    "graph": {"kernel"},
    "documents": {"kernel"},
    "storage": {"kernel"},
    "story": {"kernel", "documents"},  # its adapters by the Protocols in ports; documents are pure
    "telemetry": {"kernel"},
    "wiring": {"kernel", *ADAPTERS, "story"},
    "subscriptions": {"kernel", "graph"},
    "maintenance": {"kernel", "graph", "storage", "wiring", "subscriptions"},
    "scanning": {"kernel", "storage", "wiring"},
    "answers": {"kernel", "graph", "storage", "story", "wiring"},
    "checks": {"kernel", "graph", "storage", "wiring", "subscriptions", "scanning"},
    "operations": WHOLE_APP,
    "functions": {"kernel", "telemetry", "wiring", "subscriptions", "maintenance", "scanning", "answers", "checks"},
    "command line": {"kernel"},
}
# The folders in ingest/documents, each with the neighbours that it may see: none of these decides about a part.
DOCUMENTS = {
    "headers": set[str](),
    "invoices": {"media_types"},
    "unpacking": {"headers", "media_types", "spool"},
    "pdf": {"budget", "invoices", "spool", "unpacking"},
}
# The folders in operations, each with the folders that it may see; the modules beside them are for all.
OPERATIONS = {
    "schema": set[str](),
    "blobs": set[str](),
    "tenants": {"blobs"},
    "mails": {"blobs", "tenants"},
}
PREFIXES = {
    "ingest.model": "kernel",
    "ingest.graph": "graph",
    "ingest.documents": "documents",
    "ingest.storage": "storage",
    "ingest.telemetry": "telemetry",
    "ingest.wiring": "wiring",
    "ingest.__main__": "command line",
    "subscriptions.maintenance": "maintenance",
    "subscriptions.report": "maintenance",
    "subscriptions": "subscriptions",
    "scanning": "scanning",
    "answers": "answers",
    "checks": "checks",
    "operations": "operations",
    "function_app": "functions",
}
# The one module that may import an SDK, of those that the functions reach; the operator's commands have their own.
OWNERS = {
    "azure.functions": {"function_app"},
    "msal": {"ingest.graph.credentials", "ingest.graph.identity"},
    "requests": {
        "ingest.graph.client",
        "ingest.graph.credentials",
        "ingest.graph.identity",
        "ingest.http_adapter",
        "ingest.storage.blob_requests",  # the session that carries azure-core's requests
    },
    "urllib3": {"ingest.graph.client"},
    "azure.monitor": {"ingest.telemetry.sdk"},
    "azure.storage": {"ingest.storage.blob_requests", "ingest.storage.blobs", "ingest.storage.queue_lengths"},
    "azure.identity": {"ingest.storage.entra", "ingest.telemetry.sdk"},
    "opentelemetry": {"ingest.telemetry.sdk"},
    "psycopg": {"ingest.storage.database", "ingest.storage.entra", "ingest.storage.gate"},
    "psycopg_pool": {"ingest.storage.database"},
    "alembic": set(),  # operations/ only
    "pypdf": {"ingest.documents.pdf.objects"},
    "puremagic": {"ingest.documents.detection"},
    "sqlalchemy": set(),  # operations/ only
    "typer": set(),  # commands/ only
}
HEAVY = tuple(OWNERS.keys() - {"azure.functions"})


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): ast.parse(path.read_text()) for path in APP}


@cache
def imports(module: str) -> tuple[str, ...]:
    """Return the dotted names of all imports of a module, type-checking blocks included."""
    return tuple(_imports(module))


def _imports(module: str) -> Iterator[str]:
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


def room_of(module: str) -> str:
    if module in KERNEL:
        return "kernel"
    if module in STORY:
        return "story"
    return next(room for prefix, room in PREFIXES.items() if is_of(module, prefix))


MODULES_WITH_A_SUBJECT = sorted(MODULES.keys() - {name_of(path) for path in APP if path.name == "__init__.py"})


@pytest.mark.parametrize("module", MODULES_WITH_A_SUBJECT)
def test_a_room_sees_only_what_it_is_built_on(module: str) -> None:
    room = room_of(module)
    seen = {room_of(name) for name in imports(module) if name in MODULES_WITH_A_SUBJECT}
    assert seen - {room} <= ROOMS[room]


IN_FOLDERS = [name for name in MODULES_WITH_A_SUBJECT if re.match(r"ingest\.documents\.\w+\.", name)]


@pytest.mark.parametrize("module", IN_FOLDERS)
def test_a_reader_of_formats_sees_nothing_that_decides_about_a_part(module: str) -> None:
    folder = module.split(".")[2]
    seen = {name.split(".")[2] for name in imports(module) if is_of(name, "ingest.documents")}
    assert seen - {folder} <= DOCUMENTS[folder]


def test_the_folders_of_operations_form_no_circle() -> None:
    for module in MODULES_WITH_A_SUBJECT:
        if (found := re.match(r"operations\.(\w+)\.", module)) is not None:
            seen = {other[1] for name in imports(module) if (other := re.match(r"operations\.(\w+)\.", name))}
            assert seen - {found[1]} <= OPERATIONS[found[1]], module


def test_every_module_has_its_room() -> None:
    assert MODULES.keys() >= KERNEL | STORY
    assert {room_of(module) for module in MODULES_WITH_A_SUBJECT} == ROOMS.keys()
    packages = MODULES.keys() - set(MODULES_WITH_A_SUBJECT)
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


GROUND = [name for name in MODULES if is_of(name, "ingest.model")]
GROUND += ["ingest.codes", "ingest.errors", "ingest.trace", "ingest.log"]


@pytest.mark.parametrize("module", GROUND)
def test_the_ground_is_the_standard_library(module: str) -> None:
    outside = [name for name in imports(module) if name.partition(".")[0] not in sys.stdlib_module_names]
    assert all(is_of(name, "ingest") for name in outside)


@pytest.mark.parametrize("module", [name for name in MODULES if is_of(name, "ingest")])
def test_ingest_knows_nothing_of_subscriptions(module: str) -> None:
    assert not [name for name in imports(module) if is_of(name, "subscriptions")]


@pytest.mark.parametrize("module", MODULES)
def test_nothing_of_the_app_needs_what_is_never_deployed(module: str) -> None:
    assert not [name for name in imports(module) if any(is_of(name, other) for other in ("local", "tests", "bench"))]


def test_what_tests_share_is_in_no_test_module() -> None:
    of_a_test = re.compile(r"^from tests\.(?:\S*\.test_\w+ import|\S+ import test_)", re.MULTILINE)
    assert [path for path in ROOT.glob("tests/**/*.py") if of_a_test.search(path.read_text("utf-8"))] == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("commands/*.py")), ids=lambda path: path.stem)
def test_a_command_does_no_io_of_its_own(path: Path) -> None:
    outside = {"azure", "httpx", "msal", "psycopg", "requests", "sqlalchemy", "urllib", "socket", "subprocess"}
    for node in ast.walk(ast.parse(path.read_text())):
        named = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        named += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in named:
            assert name.partition(".")[0] not in outside, f"{path.name} imports {name}"
            assert not is_of(name, "ingest.graph"), f"{path.name} imports {name}"
            assert not is_of(name, "ingest.storage"), f"{path.name} imports {name}"


def test_a_cold_start_loads_no_sdk() -> None:
    # A webhook handshake has ten seconds, starting the instance included.
    script = "import sys, function_app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - our own interpreter
    loaded = done.stdout.split()
    assert "function_app" in loaded
    assert [name for name in loaded if name in HEAVY] == []
