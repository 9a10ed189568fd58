"""A function that does nothing: what the host alone takes for an answer."""

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="empty", methods=["POST"])
def empty(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger's name is the binding's
    """Answer as the webhook does."""
    return func.HttpResponse(status_code=202)
