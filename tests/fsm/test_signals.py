"""Signals reach a task once and in order, also when it runs again; mailboxes are bounded."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fsm.driver import MachineDriver, job
from titan.fsm.commands import (
    AckSignal,
    CancelRun,
    CommitEffects,
    ExpireWorker,
    KvIncr,
    SendSignal,
)
from titan.fsm.queries import PeekSignal, SignalView
from titan.fsm.views import read
from titan.ids import AttemptId, JobId, RunId, WorkerId


class Mail(MachineDriver):
    def __init__(self) -> None:
        super().__init__()
        self.its_run = self.submit([job("a"), job("b")])
        self.a = self.assign(self.its_run, "a")
        self.b = self.assign(self.its_run, "b", worker="w2")

    def send(self, payload: str, *, to: str = "", name: str = "go") -> int:
        command = SendSignal(run=self.its_run, job=to, name=name, payload=payload.encode())
        return int(self.do(command))

    def next(self, job_id: str = "a", name: str = "go") -> str | None:
        view = read(self.state, PeekSignal(run=self.its_run, job=JobId(job_id), name=name))
        assert view is None or isinstance(view, SignalView)
        return None if view is None else view.payload.decode()

    def ack(self, seq: int, by: AttemptId | None = None) -> Any:
        return self.do(AckSignal(seq=seq), attempt=by or self.a)


@pytest.fixture
def mail() -> Mail:
    return Mail()


def test_signals_of_a_name_come_in_order_each_until_it_is_taken(mail: Mail) -> None:
    one, two, other = mail.send("1"), mail.send("2", to="a"), mail.send("x", name="stop")
    three = mail.send("3")
    assert mail.next() == mail.next() == "1"
    assert mail.ack(one) is True
    assert mail.ack(one) is False
    assert mail.next() == "2"
    assert mail.next("b") == "3"  # what another job is told is not for it
    assert mail.ack(two) is True
    assert mail.next() == "3"
    assert (mail.ack(three), mail.ack(other)) == (True, True)
    assert mail.next() is None
    assert mail.state.mail == {}


def test_a_signal_to_the_run_goes_to_one_of_its_jobs(mail: Mail) -> None:
    seq = mail.send("1")
    assert (mail.next("a"), mail.next("b")) == ("1", "1")
    assert mail.ack(seq, by=mail.b) is True
    assert mail.ack(seq, by=mail.a) is False


def test_no_signal_is_taken_before_an_older_one_of_its_name(mail: Mail) -> None:
    mail.send("1")
    two = mail.send("2")
    assert mail.refuse(AckSignal(seq=two), attempt=mail.a) == "out_of_order"


def test_a_task_cannot_take_what_another_job_was_told(mail: Mail) -> None:
    seq = mail.send("1", to="b")
    assert mail.ack(seq, by=mail.a) is False
    assert mail.next("b") == "1"


def test_what_an_attempt_did_not_take_comes_to_the_next_one(mail: Mail) -> None:
    seq = mail.send("1", to="a")
    mail.do(ExpireWorker(worker=WorkerId("w1"), incarnation=1))
    again = mail.assign(mail.its_run, "a", worker="w3")
    assert mail.refuse(AckSignal(seq=seq), attempt=mail.a) == "attempt_not_live"
    assert mail.next() == "1"
    assert mail.ack(seq, by=again) is True


def test_taken_together_with_what_it_leads_to_a_signal_counts_once(mail: Mail) -> None:
    seq = mail.send("1", to="a")
    batch = CommitEffects(effects=(AckSignal(seq=seq), KvIncr(key="n")))
    assert mail.do(batch, attempt=mail.a) == [True, 1]
    assert mail.refuse(batch, attempt=mail.a) == "signal_gone"
    assert mail.state.kv["n"].value == b"1"
    one, two = mail.send("1"), mail.send("2")
    both = CommitEffects(effects=(AckSignal(seq=one), AckSignal(seq=two)))
    assert mail.do(both, attempt=mail.a) == [True, True]


def test_nobody_is_told_what_nobody_can_read(mail: Mail) -> None:
    def refused(**fields: Any) -> str:
        fields = {"run": mail.its_run, "name": "go"} | fields
        return mail.refuse(SendSignal(**fields))

    assert refused(run=RunId("r-none")) == "unknown_run"
    assert refused(job="none") == "unknown_job"
    assert refused(name="") == "invalid"
    assert refused(name="n" * 129) == "invalid"
    assert refused(payload=b"x" * 65_537) == "too_large"
    mail.send("unread", to="a")
    mail.do(CancelRun(run=mail.its_run))
    assert refused() == "run_over"
    assert mail.state.mail == {}
    assert mail.state.mail_bytes == 0


def test_mailboxes_are_bounded(mail: Mail, monkeypatch: pytest.MonkeyPatch) -> None:
    full = SendSignal(run=mail.its_run, job="a", name="go", payload=b"12345")
    monkeypatch.setattr("titan.fsm.signals.SIGNALS_PER_MAILBOX_MAX", 2)
    mail.do(full)
    mail.do(full)
    assert mail.refuse(full) == "mailbox_full"
    mail.send("12345", to="b")
    monkeypatch.setattr("titan.fsm.signals.MAIL_BYTES_MAX", 19)
    assert mail.refuse(SendSignal(run=mail.its_run, name="go", payload=b"12345")) == "mailbox_full"
    monkeypatch.setattr("titan.fsm.signals.MAILBOX_BYTES_MAX", 4)
    assert mail.refuse(SendSignal(run=mail.its_run, name="go", payload=b"12345")) == "mailbox_full"
