"""The messages that the worker library exchanges with its host, as plain classes.

Names and fields are those of FunctionRpc.proto in
https://github.com/Azure/azure-functions-language-worker-protobuf. The library is handed this module as `protos`
and never imports protobuf itself, so nothing has to be generated. Only what it touches is here.
"""

from enum import IntEnum
from typing import Any


class Message:
    """A protobuf message without protobuf: keyword arguments become fields."""

    def __init__(self, **fields: Any) -> None:  # noqa: ANN401 - a field can be of any type
        self.__dict__.update(fields)


class OneOf(Message):
    """A message of which one field is set."""

    def WhichOneof(self, group: str) -> str | None:  # noqa: N802, ARG002 - protobuf's name and signature
        """Name the field that is set."""
        return next(iter(self.__dict__), None)


class TypedData(OneOf):
    """A value with its type: one of these fields, or int, double, ..."""

    string: str
    json: str
    bytes: bytes
    http: "RpcHttp"


class ParameterBinding(Message):
    """A named argument or output of a function."""

    name: str
    data: TypedData

    def WhichOneof(self, group: str) -> str:  # noqa: N802, ARG002 - protobuf's name and signature
        """Name the kind of content: `data`, as shared memory is not offered."""
        return "data"


class StatusResult(Message):
    """The result of a request."""

    Failure = 0
    Success = 1

    status: int
    exception: "RpcException | None" = None


class BindingInfo(Message):
    """Direction, type and data type of a binding."""

    # `in` is a keyword, and the library reads only these two.
    out = 1
    inout = 2
    undefined = 0


class RpcHttpCookie(Message):
    """A cookie of a response."""

    # Functional, because one of the names is the keyword None.
    SameSite = IntEnum("SameSite", [("None", 0), ("Lax", 1), ("Strict", 2), ("ExplicitNone", 3)])


class RpcException(Message):
    """An exception of user code."""

    message: str
    stack_trace: str


class RpcHttp(Message):
    """A request or a response."""

    status_code: str
    headers: dict[str, str]
    body: TypedData
    cookies: "list[RpcHttpCookie] | None" = None


class RpcFunctionMetadata(Message):
    """A function as the worker indexed it; each of its raw bindings is a JSON object, as in function.json."""

    name: str
    function_id: str
    raw_bindings: list[str]


class RpcRetryOptions(Message):
    """A retry policy."""


class WorkerMetadata(Message):
    """Versions of the worker."""


class WorkerInitResponse(Message):
    """Answer to worker_init_request."""


class FunctionMetadataResponse(Message):
    """Answer to functions_metadata_request."""


class FunctionLoadResponse(Message):
    """Answer to function_load_request."""


class InvocationResponse(Message):
    """Answer to invocation_request."""

    result: StatusResult
    output_data: list[ParameterBinding]
    return_value: TypedData | None = None

    def __init__(self, **fields: Any) -> None:  # noqa: ANN401 - a field can be of any type
        super().__init__(**{"output_data": [], **fields})


class NullableString(Message):
    """A string or nothing."""


class NullableBool(Message):
    """A bool or nothing."""


class NullableDouble(Message):
    """A double or nothing."""


class NullableTimestamp(Message):
    """A timestamp or nothing."""


class Timestamp(Message):
    """Seconds since 1970."""
