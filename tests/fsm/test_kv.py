"""The key-value store: values, counters, sets, and their time to live."""

from __future__ import annotations

import pytest

from tests.fsm.driver import MachineDriver
from titan import limits
from titan.fsm.commands import KvCas, KvDelete, KvIncr, KvPut, KvSetAdd, KvSetRemove
from titan.fsm.events import KeyChanged
from titan.fsm.queries import KvGet, KvList
from titan.fsm.views import read


def get(machine: MachineDriver, key: str) -> object:
    view = read(machine.state, KvGet(key=key))
    return None if view is None else view.value


def members(machine: MachineDriver, key: str) -> object:
    view = read(machine.state, KvGet(key=key))
    return None if view is None else view.members


def test_a_put_answers_the_index_of_the_write_as_version(machine: MachineDriver) -> None:
    version = machine.do(KvPut(key="k", value="ü".encode()))
    assert version == machine.state.index
    assert machine.told(KeyChanged) == [KeyChanged("k")]
    assert get(machine, "k") == "ü"


def test_a_missing_key_reads_as_none(machine: MachineDriver) -> None:
    assert read(machine.state, KvGet(key="nothing")) is None


def test_bytes_come_back_as_bytes_and_so_does_what_is_no_text(machine: MachineDriver) -> None:
    machine.do(KvPut(key="b", value=b"abc", binary=True))
    machine.do(KvPut(key="t", value=b"\xff"))
    assert get(machine, "b") == b"abc"
    assert get(machine, "t") == b"\xff"


def test_a_key_disappears_at_the_end_of_its_time(machine: MachineDriver) -> None:
    machine.do(KvPut(key="k", value=b"1", ttl_ms=100))
    assert machine.wait(99) == 0
    assert machine.wait(1) == 1
    assert machine.told(KeyChanged) == [KeyChanged("k")]
    assert get(machine, "k") is None


def test_a_later_write_ends_an_earlier_time_to_live(machine: MachineDriver) -> None:
    machine.do(KvPut(key="k", value=b"1", ttl_ms=100))
    machine.do(KvPut(key="k", value=b"2"))
    machine.do(KvPut(key="j", value=b"1", ttl_ms=100))
    machine.do(KvPut(key="j", value=b"2", ttl_ms=200))
    assert machine.wait(100) == 0
    assert (get(machine, "k"), get(machine, "j")) == ("2", "2")
    assert machine.wait(100) == 1
    assert (get(machine, "k"), get(machine, "j")) == ("2", None)


def test_compare_and_set_sets_only_what_it_expects(machine: MachineDriver) -> None:
    assert machine.do(KvCas(key="k", expected=b"x", value=b"1")) is False
    assert machine.do(KvCas(key="k", expected=None, value=b"1")) is True
    assert machine.do(KvCas(key="k", expected=None, value=b"2")) is False
    assert machine.do(KvCas(key="k", expected=b"1", value=b"2")) is True
    assert get(machine, "k") == "2"


def test_a_delete_answers_whether_the_key_was_there(machine: MachineDriver) -> None:
    machine.do(KvPut(key="k", value=b""))
    assert machine.do(KvDelete(key="k")) is True
    assert machine.do(KvDelete(key="k")) is False


def test_counters_count_from_nothing_and_keep_their_time(machine: MachineDriver) -> None:
    assert machine.do(KvIncr(key="n")) == 1
    assert machine.do(KvIncr(key="n", by=-5)) == -4
    machine.do(KvPut(key="m", value=b"41", ttl_ms=10))
    assert machine.do(KvIncr(key="m")) == 42
    assert machine.wait(10) == 1
    assert get(machine, "m") is None


@pytest.mark.parametrize("value", [b"x", b"", b"1_000", b" 1", b"1.0", b"9" * 30])
def test_what_is_no_number_is_not_counted(machine: MachineDriver, value: bytes) -> None:
    machine.do(KvPut(key="k", value=value))
    assert machine.refuse(KvIncr(key="k")) == "wrong_type"
    assert machine.state.kv["k"].value == value


def test_a_counter_never_leaves_64_bits(machine: MachineDriver) -> None:
    machine.do(KvIncr(key="k", by=2**63 - 1))
    assert machine.refuse(KvIncr(key="k")) == "too_large"
    assert machine.refuse(KvIncr(key="j", by=2**63)) == "too_large"


def test_adding_to_a_set_answers_one_or_zero(machine: MachineDriver) -> None:
    assert machine.do(KvSetAdd(key="s", member="a")) == 1
    assert machine.do(KvSetAdd(key="s", member="a")) == 0
    assert machine.do(KvSetRemove(key="s", member="a")) == 1
    assert machine.do(KvSetRemove(key="s", member="a")) == 0
    assert "s" not in machine.state.kv


def test_commas_survive_in_sets(machine: MachineDriver) -> None:
    for member in ("a,b", "", "a", "b,", "new\nline"):
        machine.do(KvSetAdd(key="s", member=member))
    assert members(machine, "s") == ["a,b", "", "a", "b,", "new\nline"]
    assert get(machine, "s") is None


def test_a_key_is_one_kind_at_a_time(machine: MachineDriver) -> None:
    machine.do(KvSetAdd(key="s", member="a"))
    machine.do(KvPut(key="v", value=b"1"))
    assert machine.refuse(KvIncr(key="s")) == "wrong_type"
    assert machine.refuse(KvCas(key="s", expected=None, value=b"")) == "wrong_type"
    assert machine.refuse(KvSetAdd(key="v", member="a")) == "wrong_type"
    assert machine.refuse(KvSetRemove(key="v", member="a")) == "wrong_type"
    machine.do(KvPut(key="s", value=b"now text"))
    assert get(machine, "s") == "now text"


def test_sizes_are_bounded(machine: MachineDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    big = b"x" * (limits.KV_VALUE_BYTES_MAX + 1)
    assert machine.refuse(KvPut(key="k", value=big)) == "too_large"
    assert machine.refuse(KvPut(key="k" * (limits.KV_KEY_BYTES_MAX + 1), value=b"")) == "too_large"
    assert machine.refuse(KvPut(key="", value=b"")) == "too_large"
    member = "x" * (limits.KV_MEMBER_BYTES_MAX + 1)
    assert machine.refuse(KvSetAdd(key="s", member=member)) == "too_large"
    assert machine.refuse(KvPut(key="k", value=b"", ttl_ms=-1)) == "invalid"
    monkeypatch.setattr("titan.fsm.kv_changes.KV_KEYS_MAX", 1)
    monkeypatch.setattr("titan.fsm.kv_changes.KV_SET_MEMBERS_MAX", 1)
    machine.do(KvSetAdd(key="s", member="a"))
    assert machine.refuse(KvSetAdd(key="s", member="b")) == "too_large"
    assert machine.refuse(KvPut(key="other", value=b"")) == "key_limit"


def test_keys_are_listed_by_prefix_in_pages(machine: MachineDriver) -> None:
    for key in ("b/2", "a/1", "b/1", "b/3"):
        machine.do(KvPut(key=key, value=b""))
    first = read(machine.state, KvList(prefix="b/", limit=2))
    assert [view.key for view in first] == ["b/1", "b/2"]
    rest = read(machine.state, KvList(prefix="b/", limit=2, after="b/2"))
    assert [view.key for view in rest] == ["b/3"]
