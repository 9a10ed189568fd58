"""Microsoft's Python worker, `azure-functions-runtime`, driven in this process.

The library answers the same requests that the real host sends it over gRPC: it indexes function_app.py,
checks bindings against annotations, converts values, and runs functions: async ones on this event loop, the
others in its thread pool.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure_functions_runtime as library  # type: ignore[import-untyped]  # ships no types

from local.functions_host import protos
from local.functions_host.errors import StartError
from local.functions_host.protos import ParameterBinding, RpcException, StatusResult, TypedData


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of an invocation: `outputs` by parameter name, `error` where it failed."""

    outputs: Mapping[str, TypedData]
    return_value: TypedData | None
    error: RpcException | None


async def load(app: Path) -> list[Any]:
    """Start the worker on the app's folder; the RpcFunctionMetadata of its functions.

    Works once per process, and makes the folder the working directory, as the real worker's is. Settings must
    be in os.environ by now. Raises StartError with the worker's own words.
    """
    app = app.resolve()  # noqa: ASYNC240 - nothing else runs yet
    if not (app / "function_app.py").is_file():
        raise StartError(f"{app} holds no function_app.py")
    os.chdir(app)
    sys.path.insert(0, str(app))
    library.start_threadpool_executor()
    init = SimpleNamespace(capabilities={}, function_app_directory=str(app))
    response = await library.worker_init_request(_request(worker_init_request=init))
    if response.result.status != StatusResult.Success:
        exception = response.result.exception
        raise StartError(f"the worker could not index the app.\n{exception.stack_trace or exception.message}")
    response = await library.functions_metadata_request(_request())
    indexed: list[Any] = response.function_metadata_results or []
    for metadata in indexed:
        await library.function_load_request(
            _request(function_load_request=SimpleNamespace(function_id=metadata.function_id, metadata=metadata))
        )
    return indexed


async def invoke(
    function_id: str, invocation_id: str, parameter: str, value: TypedData, metadata: Mapping[str, TypedData]
) -> Result:
    """Run a function with its trigger's value and metadata; what the function raises is in the Result."""
    response = await library.invocation_request(
        _request(
            invocation_request=SimpleNamespace(
                invocation_id=invocation_id,
                function_id=function_id,
                input_data=[ParameterBinding(name=parameter, data=value)],
                trigger_metadata=metadata,
                trace_context=SimpleNamespace(trace_parent=_trace_parent(invocation_id), trace_state="", attributes={}),
                retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
            )
        )
    )
    failed = response.result.status != StatusResult.Success
    return Result(
        outputs={binding.name: binding.data for binding in response.output_data},
        return_value=response.return_value,
        error=response.result.exception if failed else None,
    )


def _request(**content: Any) -> SimpleNamespace:  # noqa: ANN401 - one message of many kinds
    return SimpleNamespace(
        name="", request=SimpleNamespace(**content), properties={"protos": protos, "host": "127.0.0.1"}
    )


def _trace_parent(invocation_id: str) -> str:
    # https://www.w3.org/TR/trace-context/#traceparent-header: 32 and 16 hex digits, which a UUID has enough of
    digits = invocation_id.replace("-", "")
    return f"00-{digits}-{digits[:16]}-00"
