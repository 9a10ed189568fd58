"""The app that the functions host is tested with; a test copies it to a folder of its own as function_app.py.

Its queue is %QUEUE%. The arguments of its functions go to the file SEEN as JSON lines. The function that has to
wait does so until the file GATE exists.
"""

import json
import logging
import os
import time
import typing
from pathlib import Path

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def _saw(**what: object) -> None:
    with Path(os.environ["SEEN"]).open("a") as seen:
        seen.write(json.dumps(what | {"pid": os.getpid()}) + "\n")


@app.function_name("notifications")
@app.route(route="graph/notifications", methods=["POST"])
@app.queue_output(arg_name="refs", queue_name="%QUEUE%", connection="AzureWebJobsStorage")
def receive(req: func.HttpRequest, refs: func.Out[typing.List[str]]) -> func.HttpResponse:  # noqa: UP006 - the worker rejects list[str]
    token = req.params.get("validationToken")
    if token is not None:
        return func.HttpResponse(token, mimetype="text/plain")
    refs.set([json.dumps(item) for item in req.get_json()])
    return func.HttpResponse(status_code=202)


@app.function_name("echo")
@app.route(route="echo/{number:int}/{*rest}")
async def echo(req: func.HttpRequest) -> func.HttpResponse:
    body = {
        "method": req.method,
        "url": req.url,
        "route": dict(req.route_params),
        "params": dict(req.params),
        "header": req.headers.get("X-Test"),
        "body": req.get_body().decode(),
    }
    return func.HttpResponse(json.dumps(body), mimetype="application/json", headers={"X-Answer": "yes"})


@app.function_name("broken")
@app.route(route="broken", methods=["GET"])
def broken(req: func.HttpRequest) -> func.HttpResponse:
    raise RuntimeError(f"broken by design: {req.method}")


@app.function_name("work")
@app.queue_trigger(arg_name="msg", queue_name="%QUEUE%", connection="AzureWebJobsStorage")
@app.queue_output(arg_name="done", queue_name="%QUEUE%-done", connection="AzureWebJobsStorage")
def work(msg: func.QueueMessage, done: func.Out[typing.List[str]]) -> None:  # noqa: UP006 - as above
    text = msg.get_body().decode()
    _saw(
        work=text,
        dequeue_count=msg.dequeue_count,
        inserted=msg.insertion_time.isoformat() if msg.insertion_time else None,
    )
    order = json.loads(text)
    if order.get("do") == "fail":
        raise RuntimeError("failed by order")
    if order.get("do") == "wait":
        while not Path(os.environ["GATE"]).exists():
            time.sleep(0.02)
    done.set([text, "[1, 2]"])
    logging.getLogger("sample").info("worked on %s", order.get("n"))


@app.function_name("tick")
@app.timer_trigger(arg_name="timer", schedule="%SCHEDULE%", use_monitor=True)
def tick(timer: func.TimerRequest) -> None:
    status = timer.schedule_status  # type: ignore[attr-defined]  # the object has it, the public type does not
    _saw(tick=True, past_due=timer.past_due, status=status)
