"""Graph's error answers."""

from collections.abc import Mapping


class GraphError(Exception):
    """An answer of 4xx or 5xx; `code` is what a client should go by.

    https://learn.microsoft.com/graph/errors
    """

    def __init__(self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


def item_not_found() -> GraphError:
    """Say that the message, folder or attachment is gone (or, with a default id, was moved)."""
    return GraphError(404, "ErrorItemNotFound", "The specified object was not found in the store.")


def malformed_id() -> GraphError:
    """Say that what stands where an id belongs can't be one."""
    return GraphError(400, "ErrorInvalidIdMalformed", "Id is malformed.")


def mime_conversion_failed() -> GraphError:
    """Say that Exchange can't make the MIME of a message."""
    return GraphError(500, "ErrorMimeContentConversionFailed", "MIME content conversion failed.")


def unknown_property(name: str, type_name: str) -> GraphError:
    """Say that a query option names something that the type does not have."""
    return GraphError(
        400,
        "RequestBroker--ParseUri",
        f"Could not find a property named '{name}' on type 'microsoft.graph.{type_name}'.",
    )


def bad_query(message: str) -> GraphError:
    """Say that a query option can't be read."""
    return GraphError(400, "RequestBroker--ParseUri", message)


def bad_request(message: str) -> GraphError:
    """Say that the request can't be understood."""
    return GraphError(400, "BadRequest", message)


def invalid_request(message: str) -> GraphError:
    """Refuse a bad subscription as the subscription service does."""
    return GraphError(400, "InvalidRequest", message)


def no_such_segment(segment: str) -> GraphError:
    """Say that the path leads nowhere."""
    return GraphError(400, "BadRequest", f"Resource not found for the segment '{segment}'.")
