"""The deployment fits the app: settings, queues, roles, parameters, and scripts that are at least grammatical."""

import json
import re
from pathlib import Path

import pytest
import tree_sitter_powershell
from tree_sitter import Language, Node, Parser

from infra import check
from infra.check import INFRA, ROOT, Bicep
from ingest.telemetry.metrics import SPAN_ATTRIBUTES


def bicep(text: str, tmp_path: Path) -> Bicep:
    path = tmp_path / "sample.bicep"
    path.write_text(text)
    return Bicep.read(path)


def test_infra_fits_the_app() -> None:
    assert check.problems() == []


def test_the_check_says_what_only_microsofts_tools_can_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main() == 0
    out = capsys.readouterr().out
    assert out.startswith("infra/ fits the app")
    for tool in ("bicep lint", "main.json", "Pester", "ci.yml"):
        assert tool in out


def test_what_is_no_bicep_is_found(tmp_path: Path) -> None:
    assert bicep("param name string\n", tmp_path).broken == []
    assert bicep("param name = = string\n", tmp_path).broken == ["sample.bicep:1"]


def test_a_parameter_without_a_default_is_needed(tmp_path: Path) -> None:
    file = bicep("param needed string\n@secure()\nparam given string = ''\noutput id string = needed\n", tmp_path)
    assert file.parameters == {"needed": True, "given": False}
    assert file.outputs == {"id"}


def test_a_role_is_known_by_its_name_and_its_scope(tmp_path: Path) -> None:
    file = bicep(
        """
        var keyVaultSecretsUser = '4633458b-17de-408a-b874-0445c86b69e6'
        resource reads 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
          name: guid(vault.id)
          scope: vault
          properties: {
            roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', keyVaultSecretsUser)
            principalId: identityPrincipalId
          }
        }
        """,
        tmp_path,
    )
    assert list(check.role_assignments(file)) == [("Key Vault Secrets User", "vault")]


def test_a_function_is_known_by_its_own_name() -> None:
    assert {"ingest_message", "ingest_backlog", "maintain", "examine", "notifications"} <= check.app_functions()
    off = check.named_functions("AzureWebJobs.maintain.Disabled: 'true'")
    assert off | check.named_functions(r'"query": "AppRequests | where Name == \"ingest\" | ..."') == {
        "maintain",
        "ingest",
    }
    assert check.named_functions((INFRA / "workbook.json").read_text()) == {"ingest_message"}


def test_no_module_comes_from_a_registry() -> None:
    # Such a file would compile only where the registry can be reached.
    for path in INFRA.rglob("*.bicep"):
        for module, _ in Bicep.read(path).modules.values():
            assert not module.startswith(("br:", "br/", "ts:")), f"{path.name}: {module}"


def test_no_account_takes_shared_keys_and_no_server_passwords() -> None:
    storage = (INFRA / "modules" / "storage.bicep").read_text()
    assert storage.count("allowSharedKeyAccess: false") == storage.count("kind: 'StorageV2'") == 2
    assert "passwordAuth: 'Disabled'" in (INFRA / "modules" / "database.bicep").read_text()


def test_the_workbook_shows_the_percentiles_of_the_time_to_stored() -> None:
    queries = [one["content"].get("query", "") for one in json.loads((INFRA / "workbook.json").read_text())["items"]]
    (query,) = (one for one in queries if 'Properties["age_seconds"]' in one)
    assert {"percentile(seconds, 50)", "percentile(seconds, 99)"} <= set(re.findall(r"percentile\([^)]*\)", query))
    assert "age_seconds" in SPAN_ATTRIBUTES


def test_every_alert_has_its_place_in_the_runbook() -> None:
    headings = set(re.findall(r"^## (\S+)$", (ROOT / "docs" / "alerts.md").read_text(), re.MULTILINE))
    rules = {rule["name"] for rule in json.loads((INFRA / "alerts.json").read_text())}
    assert headings == rules | {"database-disk", "budget"}


@pytest.mark.parametrize("path", sorted(INFRA.rglob("*.ps1")), ids=lambda path: path.name)
def test_a_powershell_script_is_grammatical(path: Path) -> None:
    # PowerShell itself is on few build machines: this is its grammar and no run. Pester runs in ci.yml.
    def wrong(node: Node) -> list[int]:
        if node.type == "ERROR" or node.is_missing:
            return [node.start_point[0] + 1]
        return [line for child in node.children for line in wrong(child)]

    tree = Parser(Language(tree_sitter_powershell.language())).parse(path.read_bytes())
    assert wrong(tree.root_node) == []


def test_the_package_holds_the_app_and_nothing_else() -> None:
    ignored = (ROOT / ".funcignore").read_text().split()
    for folder in ("bench", "commands", "docs", "infra", "local", "migrations", "operations", "tests"):
        assert folder in ignored
