"""Hold infra/ against the app without a Bicep compiler: `python -m infra.check`.

Microsoft ships the compiler as a program of its own, which not every machine can get. The parser used here finds
what is no Bicep at all. The checks below find what would deploy and then not work: a setting that the app does not
read, a queue without a function, a function that the app does not have, a role that is missing or too much. They also
find a metric that nothing reports.
Types of resources are the compiler's part (`bicep build`, `bicep lint`: .github/workflows/ci.yml).
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

from ingest.queues import BACKLOG, EVENTS, MESSAGES, SCAN_RESULTS
from ingest.telemetry.metrics import METRICS, SPAN_ATTRIBUTES

ROOT = Path(__file__).resolve().parent.parent
INFRA = ROOT / "infra"

# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
ROLE_NAMES = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
}
# What the app's identity may do, and where: for each right the part of the app that fails without it.
ROLES = {
    ("Storage Blob Data Owner", "host"): "the host: locks of timers, the deployed package",
    ("Storage Queue Data Contributor", "host"): "queue triggers and outputs of function_app",
    ("Storage Blob Data Contributor", "documents::blobs::container"): "ingest.storage.blobs",
    # A role of our own: no built-in role reads index tags and nothing else.
    ("readsTags.id", "documents::blobs::container"): "scanning.scans, where Defender for Storage scans",
    ("Key Vault Secrets User", "vault::secret"): "INGEST_CLIENT_STATE",
    ("Monitoring Metrics Publisher", "insights"): "ingest.telemetry",
}
# Settings of the app that a deployment by identity does not have, and why.
NOT_ON_AZURE = {
    "INGEST_STORAGE": "a connection string holds a key, which the accounts refuse",
}
# Settings of a deployment that no machine of a developer has, and why.
NOT_LOCAL = {
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "tells the host which identity to use",
    "AzureWebJobsStorage__accountName": "locally a connection string",
    "AzureWebJobsStorage__credential": "locally a connection string",
    "AzureWebJobsStorage__clientId": "locally a connection string",
}
# Settings of the host and of libraries: nothing in ingest.settings reads them.
OF_THE_PLATFORM = {
    *NOT_LOCAL,
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "AzureWebJobsStorage",
    "FUNCTIONS_WORKER_RUNTIME",  # Flex Consumption has it in functionAppConfig, and refuses it as a setting
    "OTEL_EXPORTER_OTLP_ENDPOINT",  # an empty value would be an endpoint: set by `appSettings` where wanted
    "PYTHON_THREADPOOL_THREAD_COUNT",
}
NOT_IN_INFRA = {"AzureWebJobsStorage", "FUNCTIONS_WORKER_RUNTIME", "OTEL_EXPORTER_OTLP_ENDPOINT"}

_SETTING = re.compile(r'"((?:AZURE|INGEST|GRAPH)_[A-Z][A-Z_]*(?:__[a-zA-Z]+)?)"')
_FUNCTION = re.compile(r'^@app\.function_name\("(\w+)"\)', re.MULTILINE)
_NAMED_FUNCTION = (
    re.compile(r"AzureWebJobs\.(\w+)\.Disabled"),
    re.compile(r'AppRequests \| where Name == \\?"(\w+)\\?"'),  # in JSON the quotes are escaped
)


@dataclass(frozen=True, kw_only=True)
class Bicep:
    """One file, parsed."""

    path: Path
    source: bytes
    root: Node

    @classmethod
    def read(cls, path: Path) -> Bicep:
        """Parse a file. A file that is no Bicep is parsed, too: `broken` lists what the parser refused."""
        source = path.read_bytes()
        root = Parser(Language(tree_sitter_bicep.language())).parse(source).root_node
        return cls(path=path, source=source, root=root)

    @property
    def broken(self) -> list[str]:
        """Places that the parser could not read, as `file:line`."""
        return [
            f"{self.path.name}:{node.start_point[0] + 1}"
            for node in _walk(self.root)
            if node.type == "ERROR" or node.is_missing
        ]

    @cached_property
    def parameters(self) -> dict[str, bool]:
        """Names of the parameters; True for those without a default."""
        found = {}
        for node in _of_type(self.root, "parameter_declaration"):
            name = self.text(_child(node, "compatible_identifier", "identifier"))
            found[name] = "=" not in [child.type for child in node.children]
        return found

    @cached_property
    def outputs(self) -> set[str]:
        """Names of the outputs."""
        return {
            self.text(_child(node, "compatible_identifier", "identifier"))
            for node in _of_type(self.root, "output_declaration")
        }

    @cached_property
    def modules(self) -> dict[str, tuple[str, dict[str, Node]]]:
        """Each module: its path as written, and the parameters that it is given."""
        found = {}
        for node in _of_type(self.root, "module_declaration"):
            name = self.text(_child(node, "compatible_identifier", "identifier"))
            path = self.text(_child(node, "string")).strip("'")
            body = next(one for one in _of_type(node, "object"))
            given = self.properties(body).get("params")
            found[name] = (path, self.properties(given) if given is not None else {})
        return found

    def resources(self, kind: str) -> Iterator[tuple[str, Mapping[str, Node]]]:
        """Each resource of a type (without its version): its symbol and its body."""
        for node in _of_type(self.root, "resource_declaration"):
            if self.text(_child(node, "string")).strip("'").partition("@")[0] == kind:
                body = next(_of_type(node, "object"), None)
                if body is not None:
                    symbol = self.text(_child(node, "compatible_identifier", "identifier"))
                    yield symbol, self.properties(body)

    def variable(self, name: str) -> Node | None:
        """The value of a variable."""
        for node in _of_type(self.root, "variable_declaration"):
            if self.text(_child(node, "compatible_identifier", "identifier")) == name:
                return node.children[-1]
        return None

    def properties(self, body: Node) -> dict[str, Node]:
        """An object's keys and values."""
        return {
            self.text(node.children[0]).strip("'"): node.children[-1]
            for node in body.children
            if node.type == "object_property"
        }

    def text(self, node: Node) -> str:
        """The source of a node."""
        return self.source[node.start_byte : node.end_byte].decode()


def problems() -> list[str]:
    """Everything that is wrong, one line each."""
    files = {path: Bicep.read(path) for path in sorted(INFRA.rglob("*.bicep"))}
    app = files[INFRA / "modules" / "app.bicep"]
    storage = files[INFRA / "modules" / "storage.bicep"]
    return [
        *(f"{place} is not Bicep" for file in files.values() for place in file.broken),
        *_modules(files),
        *_parameters(files[INFRA / "main.bicep"]),
        *_settings(set(deployed_settings(app))),
        *_threads(app),
        *_queues(queue_names(storage)),
        *_functions(),
        *_roles([role for file in files.values() for role in role_assignments(file)]),
        *_metrics(),
    ]


def deployed_settings(app: Bicep) -> dict[str, Node]:
    """The settings that the deployed app gets: names and values."""
    for node in _of_type(app.root, "resource_declaration"):
        if app.text(_child(node, "string")) == "'config'":
            body = next(_of_type(node, "object"))
            return app.properties(next(_of_type(app.properties(body)["properties"], "object")))
    return {}


def queue_names(storage: Bicep) -> set[str]:
    """The queues that a deployment makes."""
    names = storage.variable("queueNames")
    return set() if names is None else {storage.text(node).strip("'") for node in _of_type(names, "string")}


def role_assignments(file: Bicep) -> Iterator[tuple[str, str]]:
    """Yield each role that the app's identity is given: its name, and the symbol of the resource that it is for."""
    for _, body in file.resources("Microsoft.Authorization/roleAssignments"):
        properties = file.properties(body["properties"])
        if file.text(properties["principalId"]) != "identityPrincipalId":
            continue  # of the deployer, who may read the clientState to keep it
        variable = file.text(properties["roleDefinitionId"]).rpartition(",")[2].strip(" )")
        value = file.variable(variable)
        role = "" if value is None else file.text(value).strip("'")
        yield ROLE_NAMES.get(role, role or variable), file.text(body["scope"])


def app_settings() -> set[str]:
    """Every setting that ingest.settings reads."""
    return set(_SETTING.findall((ROOT / "ingest" / "settings.py").read_text("utf-8")))


def app_functions() -> set[str]:
    """Every function of function_app.py, by the name that Azure knows it by."""
    return set(_FUNCTION.findall((ROOT / "function_app.py").read_text("utf-8")))


def named_functions(text: str) -> set[str]:
    """Every function that a text names: in a setting that turns one off, or in a query over requests."""
    return {name for pattern in _NAMED_FUNCTION for name in pattern.findall(text)}


def sample_settings() -> set[str]:
    """Every setting of local.settings.sample.json."""
    return set(json.loads((ROOT / "local.settings.sample.json").read_text("utf-8"))["Values"])


def documented_settings() -> set[str]:
    """Every setting that docs/settings.md names in the first column of a table."""
    text = (ROOT / "docs" / "settings.md").read_text("utf-8")
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`([A-Za-z_]+)`", cell)}


def _modules(files: Mapping[Path, Bicep]) -> Iterator[str]:
    for path, file in files.items():
        for name, (written, given) in file.modules.items():
            target = files.get((path.parent / written).resolve())
            if target is None:
                yield f"{path.name}: module {name} is {written}, which is no file of infra/"
                continue
            for missing in sorted(one for one, needed in target.parameters.items() if needed and one not in given):
                yield f"{path.name}: module {name} is not given {missing}"
            for unknown in sorted(given.keys() - target.parameters.keys()):
                yield f"{path.name}: module {name} has no parameter {unknown}"
            asked = set(re.findall(rf"\b{name}!?\.outputs\.(\w+)", file.source.decode()))
            for unknown in sorted(asked - target.outputs):
                yield f"{path.name}: module {name} has no output {unknown}"


def _parameters(main: Bicep) -> Iterator[str]:
    given = set(json.loads((INFRA / "main.parameters.json").read_text("utf-8"))["parameters"])
    for unknown in sorted(given - main.parameters.keys()):
        yield f"main.parameters.json: main.bicep has no parameter {unknown}"
    for missing in sorted(one for one, needed in main.parameters.items() if needed and one not in given):
        yield f"main.parameters.json does not give {missing}"


def _settings(deployed: set[str]) -> Iterator[str]:
    wanted = (app_settings() - NOT_ON_AZURE.keys()) | (OF_THE_PLATFORM - NOT_IN_INFRA)
    local = app_settings() | (OF_THE_PLATFORM - NOT_LOCAL.keys())
    lists = {"modules/app.bicep": (deployed, wanted), "local.settings.sample.json": (sample_settings(), local)}
    if (ROOT / "docs" / "settings.md").is_file():
        every = app_settings() | OF_THE_PLATFORM
        lists["docs/settings.md"] = (documented_settings() & every, every - NOT_LOCAL.keys())
    for name, (found, expected) in lists.items():
        for missing in sorted(expected - found):
            yield f"{name} lacks the setting {missing}"
        for unknown in sorted(found - expected - NOT_LOCAL.keys()):
            yield f"{name} has the setting {unknown}, which nothing reads"


def _threads(app: Bicep) -> Iterator[str]:
    """The one value that has to be equal everywhere: as many threads as host.json lets messages run at a time."""
    name = "PYTHON_THREADPOOL_THREAD_COUNT"
    sample = json.loads((ROOT / "local.settings.sample.json").read_text("utf-8"))["Values"][name]
    deployed = app.text(deployed_settings(app)[name]).strip("'")
    if deployed != sample:
        yield f"modules/app.bicep sets {name} to {deployed}, local.settings.sample.json to {sample}"


def _queues(deployed: set[str]) -> Iterator[str]:
    used = {name for queue in (MESSAGES, BACKLOG, EVENTS, SCAN_RESULTS) for name in (queue, f"{queue}-poison")}
    if deployed != used:
        yield f"modules/storage.bicep makes the queues {sorted(deployed)}; the app uses {sorted(used)}"


def _functions() -> Iterator[str]:
    known = app_functions()
    texts = [path for path in INFRA.rglob("*") if path.suffix in {".bicep", ".json", ".md"}]
    for path in [*sorted(texts), *sorted((ROOT / "docs").rglob("*.md"))]:
        for unknown in sorted(named_functions(path.read_text("utf-8")) - known):
            yield f"{path.name} names the function {unknown}, which function_app.py does not have"


def _roles(given: list[tuple[str, str]]) -> Iterator[str]:
    for role, scope in sorted(set(given) - ROLES.keys()):
        yield f"the identity gets {role} on {scope}, which nothing needs"
    for (role, scope), needed_by in ROLES.items():
        if given.count((role, scope)) != 1:
            yield f"the identity does not get {role} on {scope} exactly once: {needed_by}"


def _metrics() -> Iterator[str]:
    attributes: dict[str, set[str]] = {}
    for metric in METRICS:
        attributes.setdefault(metric.name, set()).update(metric.attributes, metric.fixed)
    for rule in json.loads((INFRA / "alerts.json").read_text("utf-8")):
        for name in (rule["metric"], rule.get("of", rule["metric"])):
            if name not in attributes:
                yield f"alerts.json: {rule['name']} asks for {name}, which nothing measures"
        if "attribute" in rule and rule["attribute"] not in attributes.get(rule["metric"], ()):
            yield f"alerts.json: {rule['name']} asks for an attribute {rule['attribute']}, which {rule['metric']} lacks"
    for item in json.loads((INFRA / "workbook.json").read_text("utf-8"))["items"]:
        query = item["content"].get("query", "")
        metric_names = re.findall(r'Name == "(ingest\.[a-z_.]+)"', query)
        for name in metric_names:
            if name not in attributes:
                yield f"workbook.json: {item['name']} asks for {name}, which nothing measures"
        known = {one for name in metric_names for one in attributes.get(name, ())} or set(SPAN_ATTRIBUTES)
        for unknown in sorted(set(re.findall(r'Properties\["(\w+)"\]', query)) - known):
            yield f"workbook.json: {item['name']} asks for an attribute {unknown}, which nothing has"


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _walk(child)


def _of_type(node: Node, kind: str) -> Iterator[Node]:
    return (one for one in _walk(node) if one.type == kind)


def _child(node: Node, *kinds: str) -> Node:
    return next(child for child in node.children if child.type in kinds)


def not_checked() -> Iterator[str]:
    """Yield each check that only Microsoft's tools can do, one line each."""
    yield "Not checked here: types and properties of the resources, and the linter's rules. `bicep lint` has both."
    if (INFRA / "main.json").is_file():
        yield "Not checked here: whether infra/main.json is what `bicep build` makes today."
    else:
        yield "Not checked here: infra/main.json, which no machine with a Bicep compiler has committed yet."
    yield "Not checked here: a run of infra/exchange. tests/unit/infra reads its grammar; Pester runs it with fakes."
    yield ".github/workflows/ci.yml runs Bicep and Pester."


def main() -> int:
    """Print what is wrong, and what was not checked. Returns the exit code."""
    found = problems()
    lines = [
        *(found or ["infra/ fits the app: settings, queues, roles, functions, metrics, parameters."]),
        *not_checked(),
    ]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
