"""Messages over which processes died are worked on one at a time, so that the culprit goes to Quarantine alone."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from ingest.errors import DatabaseUnavailable, Later
from ingest.model.message_ref import MessageRef
from ingest.model.outcome import Stored
from ingest.suspects import SUSPECT_CRASHES
from tests.fakes.journal import Journal
from tests.fakes.mail import email
from tests.fakes.world import World


def suspect(world: World) -> MessageRef:
    ref = world.mail.deliver(email())
    for _ in range(SUSPECT_CRASHES):
        world.records.claim(ref)
        world.records.crash(ref)
    return ref


def test_a_suspect_waits_for_its_turn_and_is_given_back_meanwhile() -> None:
    world = World()
    first, second = suspect(world), suspect(world)
    given_back = Event()
    with ThreadPoolExecutor(1) as other:

        class Meanwhile(Journal):
            def step(self, name: str) -> None:
                super().step(name)
                if name == "original" and self.steps.count(name) == 1:
                    self.waiting = other.submit(world.pipeline.ingest_message, second)
                    assert given_back.wait(60)
                if name == "put_off":
                    given_back.set()
                if name == "claim" and self.steps.count(name) == 3:
                    assert world.records.row(second).lease_until is None

        journal = Meanwhile()
        world.mail.journal = world.blobs.journal = world.records.journal = journal
        assert world.pipeline.ingest_message(first) == Stored(documents=1)
        assert journal.waiting.result() == Stored(documents=1)
    assert journal.steps.index("put_off") < journal.steps.index("delete")
    assert journal.steps.count("claim") == 3


def test_a_suspect_without_a_turn_is_put_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.suspects.TURN_SECONDS", 0.0)
    world = World()
    first, second = suspect(world), suspect(world)

    class Meanwhile(Journal):
        def step(self, name: str) -> None:
            super().step(name)
            if name == "original" and self.steps.count(name) == 1:
                with pytest.raises(Later, match="has had its turn"):
                    world.pipeline.ingest_message(second)
                assert world.records.row(second).lease_until is None

    world.mail.journal = world.blobs.journal = world.records.journal = Meanwhile()
    assert world.pipeline.ingest_message(first) == Stored(documents=1)
    assert world.pipeline.ingest_message(second) == Stored(documents=1)


def test_a_suspect_that_could_not_be_given_back_is_not_acknowledged() -> None:
    world = World()
    first, second = suspect(world), suspect(world)
    given_back = Event()
    with ThreadPoolExecutor(1) as other:

        class Meanwhile(Journal):
            def step(self, name: str) -> None:
                if name == "put_off":
                    given_back.set()
                super().step(name)
                if name == "original" and self.steps.count(name) == 1:
                    self.waiting = other.submit(world.pipeline.ingest_message, second)
                    assert given_back.wait(60)

        journal = Meanwhile()
        journal.trouble["put_off"] = [DatabaseUnavailable("down"), DatabaseUnavailable("down")]
        world.mail.journal = world.blobs.journal = world.records.journal = journal
        assert world.pipeline.ingest_message(first) == Stored(documents=1)
        with pytest.raises(Later, match="has had its turn"):
            journal.waiting.result()
    assert world.pipeline.ingest_message(second) == Stored(documents=1)


def test_only_a_few_suspects_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.suspects.WAITING_SUSPECTS", 0)
    world = World()
    first, second = suspect(world), suspect(world)

    class Meanwhile(Journal):
        def step(self, name: str) -> None:
            super().step(name)
            if name == "original" and self.steps.count(name) == 1:
                with pytest.raises(Later, match="has had its turn"):
                    world.pipeline.ingest_message(second)

    world.mail.journal = world.blobs.journal = world.records.journal = Meanwhile()
    assert world.pipeline.ingest_message(first) == Stored(documents=1)


def test_a_message_without_crashes_waits_for_no_suspect() -> None:
    world = World()
    first, innocent = suspect(world), world.mail.deliver(email())

    class Meanwhile(Journal):
        def step(self, name: str) -> None:
            super().step(name)
            if name == "original" and self.steps.count(name) == 1:
                assert world.pipeline.ingest_message(innocent) == Stored(documents=1)

    world.mail.journal = world.blobs.journal = world.records.journal = Meanwhile()
    assert world.pipeline.ingest_message(first) == Stored(documents=1)
