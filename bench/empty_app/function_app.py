"""A function that only writes one message to a queue: the host's own time for an answer with a queue output."""

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="empty", methods=["POST"])
@app.queue_output(arg_name="message", queue_name="bench-empty", connection="AzureWebJobsStorage")
def empty(req: func.HttpRequest, message: func.Out[str]) -> func.HttpResponse:
    """Put the body on the queue and answer as the webhook does."""
    message.set(req.get_body().decode())
    return func.HttpResponse(status_code=202)
