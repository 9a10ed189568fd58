"""host.json, app settings and bindings: what is taken from them, and what is refused with which words."""

import json
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local.functions_host.errors import StartError
from local.functions_host.functions import HttpTrigger, QueueOutput, QueueTrigger, TimerTrigger, read_functions
from local.functions_host.host_json import read_host_json
from local.functions_host.rest import parse_connection_string
from local.functions_host.settings import connection_string, is_disabled, read_settings, resolve


def host_json(app: Path, **content: object) -> Path:
    (app / "host.json").write_text(json.dumps({"version": "2.0", **content}))
    return app


class TestHostJson:
    def test_defaults_are_those_of_the_real_host(self, tmp_path: Path) -> None:
        config = read_host_json(host_json(tmp_path), {})
        assert config.route_prefix == "api"
        assert config.function_timeout == timedelta(minutes=30)
        assert config.queues.batch_size == 16
        assert config.queues.max_dequeue_count == 5
        assert config.queues.visibility_timeout == timedelta(0)
        assert config.queues.max_polling_interval == timedelta(minutes=1)
        assert config.queues.message_encoding == "base64"

    def test_settings_override_the_file_in_any_case(self, tmp_path: Path) -> None:
        host_json(tmp_path, functionTimeout="-1", extensions={"queues": {"batchSize": 1, "newBatchThreshold": 0}})
        config = read_host_json(
            tmp_path,
            {
                "AzureFunctionsJobHost__extensions__queues__BATCHSIZE": "8",
                "AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "1.00:00:30.5",
            },
        )
        assert config.queues.batch_size == 8
        assert config.queues.new_batch_threshold == 0
        assert config.queues.visibility_timeout == timedelta(days=1, seconds=30.5)
        assert config.function_timeout is None

    @pytest.mark.parametrize(
        ("content", "complaint"),
        [
            ({"version": "1.0"}, '"version": "2.0"'),
            ({"extensions": {"queues": {"batchSize": 33}}}, "batchSize is '33'.*at least 1 and at most 32"),
            ({"extensions": {"queues": {"maxDequeueCount": 0}}}, "maxDequeueCount"),
            ({"extensions": {"queues": {"maxPollingInterval": 2000}}}, "maxPollingInterval is '2000'.*hh:mm:ss"),
            ({"extensions": {"queues": {"maxPollingInterval": "00:00:00.05"}}}, "at least"),
            ({"extensions": {"queues": {"messageEncoding": "utf8"}}}, "base64, none"),
            ({"functionTimeout": "soon"}, "functionTimeout"),
            ({"logging": {"logLevel": {"default": "Loud"}}}, "logging.logLevel.default"),
        ],
    )
    def test_wrong_values_are_refused_with_their_key(
        self, tmp_path: Path, content: dict[str, Any], complaint: str
    ) -> None:
        with pytest.raises(StartError, match=complaint):
            read_host_json(host_json(tmp_path, **content), {})

    def test_a_folder_without_host_json_is_no_app(self, tmp_path: Path) -> None:
        with pytest.raises(StartError, match=r"holds no host\.json"):
            read_host_json(tmp_path, {})


class TestSettings:
    def test_the_environment_wins_over_the_file(self, tmp_path: Path) -> None:
        values = {"A": "file", "B": "file", "C": 5, "D": True}
        (tmp_path / "local.settings.json").write_text(json.dumps({"Values": values}))
        assert read_settings(tmp_path, {"A": "environment"}) == {"A": "environment", "B": "file", "C": "5", "D": "true"}

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("{", "not valid JSON"),
            ("[]", "must be an object"),
            ('{"Values": {"A": {}}}', "the value of A must be a string"),
            ('{"IsEncrypted": true}', "decrypt"),
        ],
    )
    def test_a_file_that_cannot_be_used_is_refused(self, tmp_path: Path, text: str, complaint: str) -> None:
        (tmp_path / "local.settings.json").write_text(text)
        with pytest.raises(StartError, match=complaint):
            read_settings(tmp_path, {})

    def test_names_in_percent_signs_are_settings(self) -> None:
        assert resolve("%A%-%B%", {"A": "1", "B": "2"}, where="x") == "1-2"
        with pytest.raises(StartError, match="x: '%C%' does not resolve"):
            resolve("%C%", {}, where="x")

    def test_a_connection_is_found_with_and_without_its_prefix(self) -> None:
        settings = {"AzureWebJobsStorage": "s", "Other": "o"}
        assert connection_string("", settings, where="x") == "s"
        assert connection_string("Storage", settings, where="x") == "s"
        assert connection_string("Other", settings, where="x") == "o"
        assert "127.0.0.1:10001" in connection_string("A", {"A": "UseDevelopmentStorage=true"}, where="x")

    def test_an_identity_based_connection_is_refused_as_such(self) -> None:
        with pytest.raises(StartError, match="identity-based"):
            connection_string("", {"AzureWebJobsStorage__accountName": "a"}, where="x")

    def test_functions_are_turned_off_by_either_spelling(self) -> None:
        assert is_disabled("f", {"AzureWebJobs.f.Disabled": "TRUE"})
        assert is_disabled("f", {"AzureWebJobs__f__Disabled": "1"})
        assert not is_disabled("f", {"AzureWebJobs.f.Disabled": "false"})

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [("AccountName=a", "no AccountKey"), ("AccountName=a;AccountKey=secret!", "not base64")],
    )
    def test_a_bad_connection_string_is_refused_without_its_key(self, text: str, complaint: str) -> None:
        with pytest.raises(ValueError, match=complaint) as error:
            parse_connection_string(text)
        assert "secret" not in str(error.value)

    def test_endpoints_follow_from_name_and_suffix_where_they_are_not_given(self) -> None:
        account = parse_connection_string("DefaultEndpointsProtocol=https;AccountName=a;AccountKey=AA==")
        assert account.queue_endpoint == "https://a.queue.core.windows.net"


def indexed(name: str, *bindings: dict[str, Any]) -> SimpleNamespace:
    return SimpleNamespace(name=name, function_id=f"id of {name}", raw_bindings=[json.dumps(b) for b in bindings])


HTTP = {"type": "httpTrigger", "name": "req", "authLevel": "anonymous", "methods": ["post"], "route": "a/b"}
QUEUE = {"type": "queueTrigger", "name": "msg", "queueName": "%Q%", "connection": "C"}
OUTPUT = {"type": "queue", "name": "out", "queueName": "results", "connection": ""}
TIMER = {"type": "timerTrigger", "name": "t", "schedule": "%S%", "useMonitor": False}


class TestFunctions:
    def test_bindings_become_typed_and_their_settings_resolved(self) -> None:
        settings = {"Q": "Work-1", "S": "0 * * * * *", "AzureWebJobs.timer.Disabled": "true"}
        http, queue, timer = read_functions(
            [
                indexed("http", HTTP, {"type": "http", "name": "$return"}),
                indexed("queue", QUEUE, OUTPUT),
                indexed("timer", TIMER),
            ],
            settings,
        )
        assert http.trigger == HttpTrigger(parameter="req", route="a/b", methods=frozenset({"POST"}))
        assert queue.trigger == QueueTrigger(parameter="msg", queue="work-1", connection="C")
        assert queue.outputs == (QueueOutput(parameter="out", queue="results", connection=""),)
        assert timer.trigger == TimerTrigger(
            parameter="t", schedule="0 * * * * *", run_on_startup=False, use_monitor=False
        )
        assert [function.disabled for function in (http, queue, timer)] == [False, False, True]

    def test_host_json_can_name_the_functions_that_run(self) -> None:
        one, two = read_functions([indexed("one", HTTP), indexed("two", HTTP)], {}, only=("two",))
        assert (one.disabled, two.disabled) == (True, False)

    @pytest.mark.parametrize(
        ("binding", "complaint"),
        [
            (HTTP | {"authLevel": "function"}, "authLevel is 'function'"),
            (QUEUE | {"queueName": "a--b"}, "can't be the name of a queue"),
            ({"type": "serviceBusTrigger", "name": "x"}, "function f, binding x.*'serviceBusTrigger'"),
            (OUTPUT, "has no trigger"),
        ],
    )
    def test_what_cannot_be_run_is_refused_by_name(self, binding: dict[str, Any], complaint: str) -> None:
        with pytest.raises(StartError, match=complaint):
            read_functions([indexed("f", binding)], {})
