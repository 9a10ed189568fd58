"""The stand-in for `func start`, as a process, against a real Azurite."""

import base64
import json
import os
import shutil
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueClient, QueueServiceClient

from local import azurite as azurite_emulator
from local.azurite import Azurite
from local.processes import Child, ChildFailedError, json_object

SAMPLES = Path(__file__).parent / "functions_host_apps"
# The apps here are no part of the app.
pytestmark = pytest.mark.usefixtures("unmeasured")
PATIENCE = 120.0
NEVER = "0 0 0 29 2 *"
EVERY_SECOND = "* * * * * *"


def eventually[T](look: Callable[[], T], *, what: str) -> T:
    """Look until there is something to see."""
    deadline = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what} did not happen within {PATIENCE:g} s"
        time.sleep(0.1)
    return found


class Host(Child):
    """A running functions host."""

    url: str

    @property
    def api(self) -> str:
        return f"{self.url}/api"

    def fire(self, function: str, text: str = "") -> int:
        return requests.post(
            f"{self.url}/admin/functions/{function}", json={"input": text}, timeout=PATIENCE
        ).status_code


class App:
    """The sample app in a folder of its own, on a queue of its own."""

    def __init__(self, folder: Path, connection_string: str) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.seen_file = folder / "seen"
        self.operations_file = folder / "operations"
        self.gate = folder / "gate"
        self.connection_string = connection_string
        self.queue_name = f"work-{uuid.uuid4().hex}"
        self.host_id = uuid.uuid4().hex
        self._running = ExitStack()
        shutil.copy(SAMPLES / "sample_app.py", folder / "function_app.py")
        self.write_host_json({})
        self.write_settings(
            {
                "AzureWebJobsStorage": connection_string,
                "AzureFunctionsWebHost__hostid": self.host_id,
                "QUEUE": self.queue_name,
                "SCHEDULE": NEVER,
                "SEEN": str(self.seen_file),
                "GATE": str(self.gate),
                "OPERATIONS": str(self.operations_file),
            }
        )

    def write_host_json(self, queues: Mapping[str, object]) -> None:
        values = {"maxPollingInterval": "00:00:00.2", **queues}
        document = {"version": "2.0", "extensions": {"queues": values}}
        (self.folder / "host.json").write_text(json.dumps(document))

    def write_settings(self, values: Mapping[str, str]) -> None:
        document = {"IsEncrypted": False, "Values": values}
        (self.folder / "local.settings.json").write_text(json.dumps(document))

    def start(self, *arguments: str, **settings: str) -> Host:
        """Start a host; settings go to its environment. It is stopped at the end of the test."""
        host = self.launch(*arguments, **settings)
        host.url = host.wait_until_ready(json_object, timeout=PATIENCE)["url"]
        return host

    def launch(self, *arguments: str, **settings: str) -> Host:
        command: list[str | Path] = [sys.executable, "-m", "local.functions_host", "--app", self.folder, *arguments]
        env = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(SAMPLES)])} | settings
        return self._running.enter_context(Host("functions host", command, env=env, log=self.log))

    def stop(self) -> None:
        self.gate.touch()
        self._running.close()

    def queue(self, suffix: str = "") -> QueueClient:
        service = QueueServiceClient.from_connection_string(self.connection_string)
        return service.get_queue_client(self.queue_name + suffix)

    def put(self, *texts: str) -> None:
        with self.queue() as queue:
            if not self._exists(queue):
                queue.create_queue()
            for text in texts:
                queue.send_message(base64.b64encode(text.encode()).decode())

    def messages(self, suffix: str = "") -> list[str]:
        """Return the visible messages of a queue, decoded."""
        with self.queue(suffix) as queue:
            if not self._exists(queue):
                return []
            return [base64.b64decode(message.content).decode() for message in queue.peek_messages(32)]

    def count(self, suffix: str = "") -> int:
        """Return the number of messages in a queue, hidden ones included."""
        with self.queue(suffix) as queue:
            return queue.get_queue_properties().approximate_message_count or 0

    def seen(self, kind: str = "work") -> list[dict[str, Any]]:
        lines = self.seen_file.read_text().splitlines() if self.seen_file.exists() else []
        return [entry for entry in map(json.loads, lines) if kind in entry]

    def operations(self) -> list[str]:
        return self.operations_file.read_text().splitlines() if self.operations_file.exists() else []

    def _exists(self, queue: QueueClient) -> bool:
        service = QueueServiceClient.from_connection_string(self.connection_string)
        with service:
            return any(found.name == queue.queue_name for found in service.list_queues(queue.queue_name))


@pytest.fixture
def app(azurite: Azurite, tmp_path: Path) -> Iterator[App]:
    app = App(tmp_path, azurite.connection_string)
    yield app
    app.stop()


@pytest.fixture(scope="module")
def serving(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """One host for all the tests that only ask it something."""
    app = App(tmp_path_factory.mktemp("serving"), azurite.connection_string)
    yield app.start()
    app.stop()


def order(n: int, do: str = "work") -> str:
    return json.dumps({"n": n, "do": do})


class TestHttp:
    def test_the_handshake_is_answered_with_the_token_as_plain_text(self, serving: Host) -> None:
        answer = requests.post(
            f"{serving.api}/graph/notifications", params={"validationToken": "<b>&+ ü"}, timeout=PATIENCE
        )
        assert (answer.status_code, answer.text) == (200, "<b>&+ ü")
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"

    def test_202_means_that_every_item_is_on_the_queue_as_a_message_of_its_own(self, app: App) -> None:
        host = app.start(**{"AzureWebJobs.work.Disabled": "true"})
        answer = requests.post(
            f"{host.api}/graph/notifications", json=[{"n": 1}, {"n": 2}, {"n": "ü"}], timeout=PATIENCE
        )
        assert answer.status_code == 202
        assert sorted(app.messages()) == ['{"n": "\\u00fc"}', '{"n": 1}', '{"n": 2}']

    def test_a_function_gets_method_url_route_query_headers_and_body(self, serving: Host) -> None:
        url = f"{serving.api}/ECHO/-7/a/b%20c?one=1&two=a&two=b&none=&plus=a%2Bb"
        answer = requests.put(url, data="ü".encode(), headers={"X-Test": "yes"}, timeout=PATIENCE)
        assert answer.headers["X-Answer"] == "yes"
        assert answer.json() == {
            "method": "PUT",
            "url": url,
            "route": {"number": "-7", "rest": "a/b c"},
            "params": {"one": "1", "two": "a,b", "plus": "a+b"},
            "header": "yes",
            "body": "ü",
        }

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("POST", "/api/broken", 404),  # the real host's answer to the wrong method, too
            ("GET", "/api/nothing", 404),
            ("GET", "/api/echo/seven/x", 404),
            ("GET", "/broken", 404),
            ("GET", "/api/broken", 500),
            ("POST", "/admin/functions/nothing", 404),
            ("POST", "/admin/functions/broken", 400),
            ("GET", "/admin/host/status", 200),
        ],
    )
    def test_what_there_is_not_is_404_and_what_fails_is_500(
        self, serving: Host, method: str, path: str, status: int
    ) -> None:
        assert requests.request(method, serving.url + path, timeout=PATIENCE).status_code == status

    def test_while_the_queue_is_down_the_answer_is_500_and_afterwards_202(self, tmp_path: Path) -> None:
        (tmp_path / "app").mkdir()
        with azurite_emulator.running(data=tmp_path / "storage", log=tmp_path / "log") as storage:
            app = App(tmp_path / "app", storage.connection_string)
            try:
                host = app.start()
                url = f"{host.api}/graph/notifications"
                storage.queue.stop()
                assert requests.post(url, json=[{"n": 1}], timeout=PATIENCE).status_code == 500
                storage.queue.start()
                assert requests.post(url, json=[{"n": 2}], timeout=PATIENCE).status_code == 202
                eventually(lambda: [entry for entry in app.seen() if entry["work"] == '{"n": 2}'], what="a run")
            finally:
                app.stop()


class TestQueues:
    def test_a_message_runs_the_function_once_and_its_outputs_are_written(self, app: App) -> None:
        app.start()
        app.put(order(1))
        eventually(lambda: len(app.messages("-done")) == 2, what="two messages of output")
        # Items of a list stay as they are, also those that look like lists.
        assert sorted(app.messages("-done")) == sorted([order(1), "[1, 2]"])
        eventually(lambda: app.count() == 0, what="deletion")
        (entry,) = app.seen()
        assert entry["work"] == order(1)
        assert entry["dequeue_count"] == 1
        assert datetime.fromisoformat(entry["inserted"]).tzinfo is not None

    def test_after_max_dequeue_count_a_message_moves_to_the_poison_queue(self, app: App) -> None:
        app.write_host_json({"maxDequeueCount": 5})
        app.start(AzureFunctionsJobHost__extensions__queues__maxDequeueCount="2")
        app.put(order(1, "fail"))
        assert eventually(lambda: app.messages("-poison"), what="poison") == [order(1, "fail")]
        eventually(lambda: app.count() == 0, what="deletion")
        assert [entry["dequeue_count"] for entry in app.seen()] == [1, 2]
        assert app.messages("-done") == []

    def test_a_failed_message_stays_hidden_for_the_visibility_timeout(self, app: App) -> None:
        app.write_host_json({"visibilityTimeout": "01:00:00"})
        app.start("--plugin", "observing:install")
        app.put(order(1, "fail"))
        eventually(lambda: "queue.release after" in app.operations(), what="release")
        assert app.messages() == []
        assert app.count() == 1
        assert len(app.seen()) == 1

    @pytest.mark.parametrize("raw", ["not base64 &<>", base64.b64encode(b"\xff\xfe").decode()])
    def test_what_cannot_be_decoded_becomes_poison_and_the_function_does_not_run(self, app: App, raw: str) -> None:
        app.put()
        with app.queue() as queue:
            queue.send_message(raw)
        app.start()
        with app.queue("-poison") as poison:
            eventually(lambda: app.count() == 0, what="deletion")
            assert [message.content for message in poison.peek_messages()] == [raw]
        assert app.seen() == []

    def test_three_hosts_drain_one_queue_and_each_message_runs_once(self, app: App) -> None:
        app.put(*(order(n, "wait") for n in range(60)))
        hosts = [app.launch() for _ in range(3)]
        for host in hosts:
            host.wait_until_ready(json_object, timeout=PATIENCE)
        # One host takes 24 at a time: as long as none ends, the others get theirs.
        eventually(lambda: len({entry["pid"] for entry in app.seen()}) > 1, what="work on several hosts")
        app.gate.touch()
        eventually(lambda: app.count() == 0, what="an empty queue")
        assert sorted(json.loads(entry["work"])["n"] for entry in app.seen()) == list(range(60))

    def test_the_message_of_a_killed_host_is_taken_by_another_once_its_lease_has_run_out(self, app: App) -> None:
        host = app.start("--queue-lease", "2")
        app.put(order(1, "wait"))
        eventually(app.seen, what="a run")
        host.kill()
        app.gate.touch()
        app.start("--queue-lease", "2")
        eventually(lambda: app.count() == 0, what="an empty queue")
        assert [entry["dequeue_count"] for entry in app.seen()] == [1, 2]

    def test_a_lease_is_renewed_while_the_function_runs(self, app: App) -> None:
        arguments = ("--queue-lease", "3", "--plugin", "observing:install")
        app.start(*arguments)
        app.put(order(1, "wait"))
        app.start(*arguments)
        eventually(lambda: app.operations().count("queue.renew after") >= 3, what="renewals past the first lease")
        app.gate.touch()
        eventually(lambda: app.count() == 0, what="an empty queue")
        assert len(app.seen()) == 1

    def test_a_run_that_exceeds_the_function_timeout_has_failed(self, app: App) -> None:
        app.start(
            AzureFunctionsJobHost__functionTimeout="00:00:01",
            AzureFunctionsJobHost__extensions__queues__maxDequeueCount="1",
        )
        app.put(order(1, "wait"))
        assert eventually(lambda: app.messages("-poison"), what="poison") == [order(1, "wait")]
        said = "Timeout value of 0:00:01 exceeded by function 'Functions.work'"
        eventually(lambda: said in app.log.read_text(), what="the line in the log")  # it comes through a pipe

    def test_observers_hear_of_every_operation_before_and_after_it(self, app: App) -> None:
        app.start("--plugin", "observing:install", AzureFunctionsJobHost__extensions__queues__maxDequeueCount="1")
        app.put(order(1), order(2, "fail"))
        eventually(lambda: app.operations().count("queue.delete after") == 2, what="both messages settled")
        for name in ("queue.get", "queue.put", "queue.delete", "queue.poison"):
            assert f"{name} before" in app.operations()
            assert f"{name} after" in app.operations()

    def test_a_stopped_host_lets_its_functions_end_and_takes_no_more(self, app: App) -> None:
        host = app.start()
        app.put(order(1, "wait"))
        eventually(app.seen, what="a run")
        os.kill(host.pid, signal.SIGTERM)
        eventually(lambda: not _listens(host.url), what="the end of listening")
        app.put(order(2))
        app.gate.touch()
        assert host.wait(PATIENCE) == 0
        assert app.messages() == [order(2)]
        assert len(app.messages("-done")) == 2


class TestTimers:
    def test_the_admin_endpoint_fires_a_timer(self, app: App) -> None:
        host = app.start()
        assert host.fire("tick") == 202
        (entry,) = eventually(lambda: app.seen("tick"), what="a tick")
        assert entry["past_due"] is False

    def test_the_admin_endpoint_runs_a_queue_function_past_its_queue(self, app: App) -> None:
        host = app.start()
        assert host.fire("work", order(1)) == 202
        eventually(lambda: len(app.messages("-done")) == 2, what="output")
        assert [entry["work"] for entry in app.seen()] == [order(1)]

    def test_one_host_runs_the_schedule_and_another_takes_over(self, app: App) -> None:
        hosts = [app.start(SCHEDULE=EVERY_SECOND) for _ in range(2)]
        eventually(lambda: len(app.seen("tick")) >= 3, what="three ticks")
        (first,) = {entry["pid"] for entry in app.seen("tick")}
        holder = next(host for host in hosts if host.pid == first)
        holder.stop()
        eventually(lambda: {entry["pid"] for entry in app.seen("tick")} == {h.pid for h in hosts}, what="takeover")

    def test_a_run_that_was_missed_is_made_up_for_at_the_start(self, app: App) -> None:
        past = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        status = {"Last": past, "Next": past, "LastUpdated": past}
        with BlobServiceClient.from_connection_string(app.connection_string) as service:
            container = service.get_container_client("azure-webjobs-hosts")
            if not container.exists():
                container.create_container()
            path = f"timers/{app.host_id}/Host.Functions.tick/status"
            container.upload_blob(path, json.dumps(status))
            app.start()
            (entry,) = eventually(lambda: app.seen("tick"), what="a tick")
            assert entry["past_due"] is True
            assert entry["status"]["Next"] == past
            eventually(lambda: json.loads(container.download_blob(path).readall())["Next"] > past, what="a new status")


class TestStart:
    def test_it_says_that_it_is_a_stand_in_and_lists_the_functions(self, app: App) -> None:
        app.start(**{"AzureWebJobs.broken.Disabled": "1"}).stop()
        lines = app.log.read_text().splitlines()
        assert "not Core Tools" in lines[0]
        listing = "\n".join(lines)
        assert "notifications: [POST] http://127.0.0.1:" in listing
        assert f"work: queueTrigger {app.queue_name}" in listing
        assert f"tick: timerTrigger {NEVER}" in listing
        assert "broken: disabled" in listing

    @pytest.mark.parametrize(
        ("settings", "complaint"),
        [
            ({"AzureWebJobsStorage": ""}, "AzureWebJobsStorage is missing"),
            ({"AzureFunctionsJobHost__extensions__queues__batchSize": "33"}, "extensions.queues.batchSize"),
        ],
    )
    def test_wrong_settings_are_printed_and_end_the_host(
        self, app: App, settings: dict[str, str], complaint: str
    ) -> None:
        self.refuses(app, complaint, **settings)

    @pytest.mark.parametrize(
        ("source", "complaint"),
        [
            ("raise RuntimeError('at import')", "RuntimeError: at import"),
            (
                """
import azure.functions as func
app = func.FunctionApp()
@app.blob_trigger(arg_name="blob", path="x/{name}", connection="")
def on_blob(blob: func.InputStream) -> None: ...
""",
                "bindings of type 'blobTrigger'",
            ),
        ],
    )
    def test_an_app_that_cannot_be_run_is_named_and_ends_the_host(self, app: App, source: str, complaint: str) -> None:
        (app.folder / "function_app.py").write_text(source)
        self.refuses(app, complaint)

    def test_a_port_that_is_taken_is_named_and_ends_the_host(self, app: App, serving: Host) -> None:
        port = serving.url.rpartition(":")[2]
        self.refuses(app, f"can't listen on port {port}", "--port", port)

    def test_a_folder_without_functions_is_named_and_ends_the_host(self, app: App) -> None:
        (app.folder / "function_app.py").unlink()
        self.refuses(app, "holds no function_app.py")

    def refuses(self, app: App, complaint: str, *arguments: str, **settings: str) -> None:
        host = app.launch(*arguments, **settings)
        with pytest.raises(ChildFailedError, match="exit code 1") as failure:
            host.wait_until_ready(json_object, timeout=PATIENCE)
        assert complaint in str(failure.value)


def _listens(url: str) -> bool:
    try:
        requests.get(f"{url}/admin/host/status", timeout=PATIENCE)
    except requests.ConnectionError:
        return False
    return True
