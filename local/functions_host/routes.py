"""Route templates of HTTP triggers: `graph/notifications`, `orders/{id:int?}`, `files/{*path}`.

https://learn.microsoft.com/aspnet/core/fundamentals/routing, as far as functions use it.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from local.functions_host.errors import StartError

_PARAMETER = re.compile(r"\{(?P<all>\*{0,2})(?P<name>\w+)(?::(?P<constraint>\w+))?(?P<optional>\?)?\}")
_CONSTRAINTS = {
    None: r"[^/]+",
    "alpha": r"[A-Za-z]+",
    "bool": r"(?:true|false)",
    "guid": r"[0-9A-Fa-f]{8}-?(?:[0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}",
    "int": r"-?[0-9]+",
    "long": r"-?[0-9]+",
}


@dataclass(frozen=True, kw_only=True)
class Route:
    """A compiled template; more literal ones come first when `order` sorts them."""

    template: str
    pattern: re.Pattern[str]

    @property
    def order(self) -> tuple[int, int]:
        """Sort key: catch-alls last, fewer parameters first."""
        return (self.template.count("{*"), self.template.count("{"))

    def match(self, raw_path: str) -> dict[str, str] | None:
        """Parameters of a path (still percent-encoded, without query), or None where it doesn't match."""
        found = self.pattern.fullmatch(raw_path)
        if found is None:
            return None
        return {name: unquote(value) for name, value in found.groupdict().items() if value is not None}


def compile_route(prefix: str, template: str) -> Route:
    """Compile a template beneath the route prefix. Letters match in either case.

    Raises StartError for a constraint that is not supported.
    """
    pattern = ""
    for segment in (*filter(None, prefix.split("/")), *template.split("/")):
        parameter = _PARAMETER.fullmatch(segment)
        if parameter and parameter["all"]:
            pattern += f"(?:/(?P<{parameter['name']}>.*))?"
        elif parameter:
            pattern += f"(?:/{_group(parameter, template)})" + ("?" if parameter["optional"] else "")
        else:
            pattern += "/" + _mixed(segment, template)
    return Route(template=template, pattern=re.compile(f"{pattern}/?", re.IGNORECASE))


def _mixed(segment: str, template: str) -> str:
    # A segment of literals with parameters between them, `report-{year}.pdf`.
    pattern, end = "", 0
    for parameter in _PARAMETER.finditer(segment):
        pattern += re.escape(segment[end : parameter.start()]) + _group(parameter, template)
        end = parameter.end()
    rest = segment[end:]
    if "{" in rest or "}" in rest:
        raise StartError(f"route {template!r}: {segment!r} can't be read as a route segment")
    return pattern + re.escape(rest)


def _group(parameter: re.Match[str], template: str) -> str:
    if parameter["constraint"] not in _CONSTRAINTS:
        known = ", ".join(sorted(filter(None, _CONSTRAINTS)))
        raise StartError(f"route {template!r}: this stand-in knows only the constraints {known}")
    return f"(?P<{parameter['name']}>{_CONSTRAINTS[parameter['constraint']]})"
