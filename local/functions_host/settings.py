"""App settings: `local.settings.json` beneath the process environment, as `func start` reads them.

https://learn.microsoft.com/azure/azure-functions/functions-develop-local#local-settings-file
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from local.functions_host.errors import StartError

DEFAULT_CONNECTION = "AzureWebJobsStorage"
# The emulator's well-known ports: https://learn.microsoft.com/azure/storage/common/storage-use-azurite
_DEVELOPMENT_STORAGE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
)
_TRUE = {"1", "true"}


def read_settings(app: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """`Values` of the app's local.settings.json with the environment on top.

    The file may be missing. Raises StartError where it can't be read.
    """
    path = app / "local.settings.json"
    if not path.is_file():
        return dict(environ)
    try:
        document = json.loads(path.read_text("utf-8-sig"))
    except ValueError as error:
        raise StartError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("Values", {}), dict):
        raise StartError(f'{path} must be an object with an object "Values" in it')
    if document.get("IsEncrypted"):
        raise StartError(f"{path} is encrypted: run `func settings decrypt` first")
    values: dict[str, str] = {}
    for name, value in document.get("Values", {}).items():
        if isinstance(value, dict | list):
            raise StartError(f"{path}: the value of {name} must be a string")
        values[name] = json.dumps(value) if isinstance(value, bool | int | float) else str(value or "")
    return values | dict(environ)


def resolve(text: str, settings: Mapping[str, str], *, where: str) -> str:
    """Replace each %NAME% in a binding's value by the app setting NAME.

    Raises StartError, naming `where`, when the setting doesn't exist.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in settings:
            raise StartError(f"{where}: '%{match[1]}%' does not resolve to a value: set the app setting {match[1]}")
        return settings[match[1]]

    return re.sub(r"%([^%\s]+)%", value, text)


def connection_string(name: str, settings: Mapping[str, str], *, where: str) -> str:
    """Find the connection string that a binding's `connection` names; empty means AzureWebJobsStorage.

    Raises StartError when there is none, or when the connection is identity-based.
    """
    name = name or DEFAULT_CONNECTION
    found = settings.get(f"AzureWebJobs{name}") or settings.get(name)
    if found == "UseDevelopmentStorage=true":
        return _DEVELOPMENT_STORAGE
    if found:
        return found
    if any(setting.lower().startswith(f"{name}__".lower()) for setting in settings):
        raise StartError(
            f"{where}: the connection {name} is identity-based ({name}__...), which this stand-in can't do: "
            f"set {name} to a connection string"
        )
    raise StartError(f"{where}: the app setting {name} is missing: set it to a storage connection string")


def is_disabled(function: str, settings: Mapping[str, str]) -> bool:
    """Return True where a setting turns this function off.

    https://learn.microsoft.com/azure/azure-functions/disable-function
    """
    names = (f"AzureWebJobs.{function}.Disabled", f"AzureWebJobs__{function}__Disabled")
    return any(settings.get(name, "").lower() in _TRUE for name in names)
