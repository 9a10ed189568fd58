"""The subset of OData's query options that Outlook understands: $filter, $orderby, $select, $expand, paging.

Knows nothing of messages: the caller says which properties there are and how to get them.
https://learn.microsoft.com/graph/filter-query-parameter
"""

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from local.graph import clock
from local.graph.http.errors import GraphError, bad_query, unknown_property

type Getter = Callable[[Any], Any]  # from an item of the caller's choice to a value of the property's own type
type Predicate = Callable[[Any], bool]

MAX_TOP = 1_000
DEFAULT_TOP = 10

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<datetime>\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?)
    | (?P<number>-?\d+(?:\.\d+)?)
    | (?P<string>'(?:[^']|'')*')
    | (?P<name>[A-Za-z_@][\w.]*(?:/[A-Za-z_]\w*)*)
    | (?P<mark>[(),:])
    )""",
    re.VERBOSE,
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
_STRING_FUNCTIONS: dict[str, Callable[[str, str], bool]] = {
    "startswith": str.startswith,
    "endswith": str.endswith,
    "contains": operator.contains,
}


@dataclass(frozen=True, kw_only=True)
class Schema:
    """The properties of a type that can be filtered or sorted by, spelled as in Graph.

    `fields` maps a path (`from/emailAddress/address`) to its getter. `collections` maps a collection to the
    getter of its items and the fields of an item. The empty path is the item itself.
    """

    type_name: str
    fields: Mapping[str, Getter]
    collections: Mapping[str, tuple[Getter, Mapping[str, Getter]]] = field(default_factory=dict)

    def getter(self, path: str) -> Getter:
        """Property names are matched without regard to case, as Outlook does."""
        found = self._by_lower().get(path.lower())
        if found is None:
            raise unknown_property(path, self.type_name)
        return found

    def _by_lower(self) -> dict[str, Getter]:
        return {name.lower(): getter for name, getter in self.fields.items()}


@dataclass(frozen=True, kw_only=True)
class Filter:
    """`properties` are the top-level names in the order in which the text first mentions them, lower case."""

    matches: Predicate
    properties: tuple[str, ...]


def parse_filter(text: str, schema: Schema) -> Filter:
    """Compile a $filter; strings compare without regard to case, as in Exchange. 400 if unreadable."""
    parser = _FilterParser(_tokens(text), schema)
    matches = parser.expression()
    parser.expect_end()
    return Filter(matches=matches, properties=tuple(dict.fromkeys(parser.mentioned)))


def parse_order(text: str, schema: Schema) -> tuple[tuple[str, Getter, bool], ...]:
    """Read a $orderby as (path, getter, descending)."""
    order = []
    for clause in filter(None, (clause.strip() for clause in text.split(","))):
        path, _, direction = clause.partition(" ")
        if direction.strip().lower() not in {"", "asc", "desc"}:
            raise bad_query(f"Syntax error at position {len(path)} in '{clause}'.")
        order.append((path, schema.getter(path), direction.strip().lower() == "desc"))
    return tuple(order)


def check_efficient(order: Iterable[tuple[str, Getter, bool]], criteria: Filter | None) -> None:
    """Insist that what $orderby names comes first in $filter, in the same order.

    https://learn.microsoft.com/graph/api/user-list-messages#using-filter-and-orderby-in-the-same-query
    """
    names = tuple(path.split("/")[0].lower() for path, _, _ in order)
    if names and criteria is not None and criteria.properties[: len(names)] != names:
        raise GraphError(400, "InefficientFilter", "The restriction or sort order is too complex for this operation.")


def sort[T](items: Iterable[T], order: Sequence[tuple[str, Getter, bool]]) -> list[T]:
    """Stable, the last key first, so that each may have its own direction; null comes first."""
    result = list(items)
    for _, getter, descending in reversed(order):
        result.sort(key=_sort_key(getter), reverse=descending)
    return result


@dataclass(frozen=True, kw_only=True)
class Page:
    """The part of a list that a request asks for."""

    top: int
    skip: int
    count: bool


def parse_page(query: Mapping[str, str], *, max_top: int = MAX_TOP) -> Page:
    """$top (1 to 1000, default 10), $skip and $count. 400 where one is out of range."""
    top, skip = query.get("$top", str(DEFAULT_TOP)), query.get("$skip", "0")
    for name, text, lowest in (("$top", top, 1), ("$skip", skip, 0)):
        if not text.isdecimal() or int(text) < lowest:
            raise bad_query(
                f"Invalid value '{text}' for {name} query option found. "
                f"The {name} query option requires an integer value of at least {lowest}."
            )
    if int(top) > max_top:
        raise GraphError(
            400,
            "ErrorInvalidUrlQuery",
            f"The limit of '{max_top}' for Top query has been exceeded. "
            f"The value from the incoming request is '{top}'.",
        )
    return Page(top=int(top), skip=int(skip), count=query.get("$count", "").lower() == "true")


def parse_names(text: str) -> tuple[str, ...]:
    """Read a $select, without blanks and empty names."""
    return tuple(name for name in (name.strip() for name in text.split(",")) if name)


def parse_expand(text: str) -> dict[str, dict[str, str]]:
    """Read an $expand: navigation property → its own query options."""
    expanded: dict[str, dict[str, str]] = {}
    for item in _split(text, ","):
        name, bracket, rest = item.strip().partition("(")
        if bracket and not rest.rstrip().endswith(")"):
            raise bad_query(f"Found an unbalanced bracket expression in '{text}'.")
        options = {}
        for option in _split(rest.rstrip()[:-1], ";") if bracket else ():
            key, _, value = option.partition("=")
            options[key.strip().lower()] = value.strip()
        if name.strip():
            expanded[name.strip()] = options
    return expanded


def parse_query(text: str) -> dict[str, str]:
    """Read a query string; option names become lower case and get the `$` that Graph lets clients omit."""
    known = {"filter", "orderby", "select", "expand", "top", "skip", "count", "search"}
    query = {}
    for key, value in parse_qsl(text, keep_blank_values=True):
        name = key.lower()
        query["$" + name if name in known else name if name.startswith("$") else key] = value
    return query


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens = []
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            raise bad_query(f"Syntax error at position {position} in '{text}'.")
        tokens.append((match.lastgroup or "", match[match.lastgroup or 0]))
        position = match.end()
    if not tokens:
        raise bad_query("Expression expected in $filter.")
    return tokens


@dataclass
class _FilterParser:
    """Recursive descent: or < and < not < comparison."""

    tokens: list[tuple[str, str]]
    schema: Schema
    position: int = 0
    mentioned: list[str] = field(default_factory=list)
    # Within any()/all(): the variable and the fields of what it stands for.
    scope: tuple[str, Mapping[str, Getter]] | None = None

    def expression(self) -> Predicate:
        left = self._conjunction()
        while self._take_word("or"):
            left = _either(left, self._conjunction())
        return left

    def expect_end(self) -> None:
        if self.position < len(self.tokens):
            raise bad_query(f"Syntax error: unexpected '{self.tokens[self.position][1]}' in $filter.")

    def _conjunction(self) -> Predicate:
        left = self._negation()
        while self._take_word("and"):
            left = _both(left, self._negation())
        return left

    def _negation(self) -> Predicate:
        if self._take_word("not"):
            inner = self._negation()
            return lambda item: not inner(item)
        return self._primary()

    def _primary(self) -> Predicate:
        if self._take_mark("("):
            inner = self.expression()
            self._need_mark(")")
            return inner
        name = self._need_name()
        if name.lower() in _STRING_FUNCTIONS and self._peek() == ("mark", "("):
            return self._string_function(name.lower())
        collection, _, quantifier = name.rpartition("/")
        if quantifier.lower() in {"any", "all"} and self._peek() == ("mark", "("):
            return self._quantifier(collection, quantifier.lower())
        return self._comparison(name)

    def _string_function(self, name: str) -> Predicate:
        function = _STRING_FUNCTIONS[name]
        self._need_mark("(")
        getter = self._getter(self._need_name())
        self._need_mark(",")
        wanted = self._literal()
        self._need_mark(")")
        # `startswith(…) eq true` is an old but common way to write it.
        wanted_result = bool(self._literal()) if self._take_word("eq") else True
        if not isinstance(wanted, str):
            raise bad_query(f"The function '{name}' needs a string.")
        return lambda item: function(_comparable(getter(item)) or "", wanted) == wanted_result

    def _comparison(self, name: str) -> Predicate:
        getter = self._getter(name)
        kind, word = self._next()
        if kind == "name" and word.lower() == "in":
            return self._membership(getter)
        compare = _COMPARE.get(word.lower()) if kind == "name" else None
        if compare is None:
            # A boolean property may stand for itself.
            self.position -= 1
            return lambda item: getter(item) is True
        wanted = self._literal()
        equality = word.lower() in {"eq", "ne"}

        def matches(item: object) -> bool:
            value = _comparable(getter(item))
            if equality:
                return compare(value, wanted)
            # Comparing with null, or with another type, matches nothing.
            return value is not None and isinstance(value, type(wanted)) and compare(value, wanted)

        return matches

    def _membership(self, getter: Getter) -> Predicate:
        self._need_mark("(")
        wanted = {self._literal()}
        while self._take_mark(","):
            wanted.add(self._literal())
        self._need_mark(")")
        return lambda item: _comparable(getter(item)) in wanted

    def _quantifier(self, collection: str, quantifier: str) -> Predicate:
        found = {name.lower(): entry for name, entry in self.schema.collections.items()}.get(collection.lower())
        if found is None:
            raise unknown_property(collection, self.schema.type_name)
        self.mentioned.append(collection.lower())
        items, fields = found
        self._need_mark("(")
        if self._take_mark(")"):
            return lambda item: bool(items(item))
        variable = self._need_name()
        self._need_mark(":")
        self.scope = (variable, fields)
        inner = self.expression()
        self.scope = None
        self._need_mark(")")
        test = any if quantifier == "any" else all
        return lambda item: test(inner(element) for element in items(item))

    def _getter(self, path: str) -> Getter:
        if self.scope is not None:
            variable, fields = self.scope
            head, _, rest = path.partition("/")
            found = {name.lower(): getter for name, getter in fields.items()}.get(rest.lower())
            if head != variable or found is None:
                raise unknown_property(path, self.schema.type_name)
            return found
        self.mentioned.append(path.split("/", maxsplit=1)[0].lower())
        return self.schema.getter(path)

    def _literal(self) -> object:
        kind, text = self._next()
        match kind:
            case "string":
                return text[1:-1].replace("''", "'").casefold()
            case "number":
                return float(text)
            case "datetime":
                try:
                    return clock.parse(text)
                except ValueError:
                    raise bad_query(f"'{text}' is not a date and time.") from None
            case "name" if text.lower() in {"true", "false"}:
                return text.lower() == "true"
            case "name" if text.lower() == "null":
                return None
            case _:
                raise bad_query(f"Syntax error: a literal is expected instead of '{text}'.")

    def _peek(self) -> tuple[str, str]:
        return self.tokens[self.position] if self.position < len(self.tokens) else ("end", "the end of the text")

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        self.position += 1
        return token

    def _take_word(self, word: str) -> bool:
        kind, text = self._peek()
        taken = kind == "name" and text.lower() == word
        self.position += taken
        return taken

    def _take_mark(self, mark: str) -> bool:
        taken = self._peek() == ("mark", mark)
        self.position += taken
        return taken

    def _need_mark(self, mark: str) -> None:
        if not self._take_mark(mark):
            raise bad_query(f"Syntax error: '{mark}' is expected instead of {self._peek()[1]}.")

    def _need_name(self) -> str:
        kind, text = self._next()
        if kind != "name":
            raise bad_query(f"Syntax error: a property is expected instead of '{text}'.")
        return text


def _either(left: Predicate, right: Predicate) -> Predicate:
    return lambda item: left(item) or right(item)


def _both(left: Predicate, right: Predicate) -> Predicate:
    return lambda item: left(item) and right(item)


def _comparable(value: Any) -> Any:  # noqa: ANN401 - values of any property pass through
    if isinstance(value, str):
        return value.casefold()
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def _sort_key(getter: Getter) -> Callable[[Any], tuple[bool, Any]]:
    return lambda item: _sortable(getter(item))


def _sortable(value: Any) -> tuple[bool, Any]:  # noqa: ANN401 - values of any property pass through
    if isinstance(value, datetime):
        return True, value.timestamp()
    return value is not None, "" if value is None else _comparable(value)


def _split(text: str, separator: str) -> list[str]:
    """Split at `separator` outside parentheses and quotes."""
    parts, depth, quoted, start = [], 0, False, 0
    for index, character in enumerate(text):
        if character == "'":
            quoted = not quoted
        elif not quoted and character == "(":
            depth += 1
        elif not quoted and character == ")":
            depth -= 1
        elif not quoted and depth == 0 and character == separator:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]
