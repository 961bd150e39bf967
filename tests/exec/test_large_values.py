"""Values of calls that no message can hold: blobs on their way in, and on their way out."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.exec.fake_master import FakeMaster
from tests.exec.running import Running, StartWorker, bundle, result
from tests.exec.support import order, until
from tests.exec.test_functions import CODE, call
from titan.exec.functions import resolving
from titan.exec.functions.protocol import CallOrder
from titan.ids import Digest
from titan.limits import OUTPUT_BLOB_BYTES_MAX, OUTPUT_BYTES_MAX
from titan.spec import call_arguments, call_pickles
from titan.spec.call_values import (
    PICKLED,
    Large,
    Ref,
    decode_result,
    encode_argument,
    encode_call,
    encode_result,
)
from titan.spec.model import BlobRef, Call
from titan.wire.messages import KillAttempt

BIG = b"\x00\xff" * 150_000
KINDS = [{}, {"isolated": True}]


@pytest.fixture
def digest(master: FakeMaster) -> str:
    return bundle(master, mod_py=CODE)


def put(master: FakeMaster, data: bytes) -> BlobRef:
    digest = Digest(hashlib.sha256(data).hexdigest())
    master.blobs[digest] = data
    return BlobRef(digest, len(data))


def put_out(master: FakeMaster, ended: Any) -> Any:
    """What a finished attempt has left as a blob."""
    assert (ended.exit_code, ended.cause, ended.detail, ended.output) == (0, "", "", b"")
    data = master.blobs[ended.artifacts.output]
    assert len(data) == ended.artifacts.output_size
    return decode_result(data)


def values_on(running: Running) -> list[Path]:
    return sorted((running.data).rglob("*.value*"))


@pytest.mark.parametrize("how", KINDS)
async def test_large_arguments_and_results_of_parents_are_given_as_values(
    master: FakeMaster, start: StartWorker, digest: str, how: dict[str, Any]
) -> None:
    await start(slots=1)
    own = put(master, bytes(encode_argument([Ref(1), BIG], "x")))
    theirs = put(master, encode_result(BIG))
    args = encode_call([encode_argument(one, "x") for one in (Ref(0), Ref(1), Ref(2))], {})
    one = Call(module="mod", name="size", args=args, inputs=("a", "b", "c"), **how)  # type: ignore[arg-type]
    given = {"results": (b"", b'"xy"', encode_result(b"12345")), "large_results": {0: theirs}}
    master.say(order(1, call=one, bundle=digest, **given))
    assert decode_result((await result(master, 1)).output) == [len(BIG), 2, 5]
    args = encode_call([encode_argument(Large(0), "")], {})
    one = Call(module="mod", name="nested", args=args, inputs=("a", "b"), blobs=(own,), **how)  # type: ignore[arg-type]
    master.say(order(2, call=one, bundle=digest, results=(b"", b'"xy"')))
    assert decode_result((await result(master, 2)).output) == ["xy", len(BIG)]
    fetched = len(master.fetches)
    whole = put(master, encode_call([encode_argument(Ref(0), "x"), encode_argument(b"1", "x")], {}))
    one = Call(
        module="mod",
        name="size",
        inputs=("a",),  # type: ignore[arg-type]
        blobs=(whole,),
        args_are_blob=True,
        **how,
    )
    given = {"results": (b"",), "large_results": {0: theirs}}
    master.say(order(3, call=one, bundle=digest, **given))
    assert decode_result((await result(master, 3)).output) == [len(BIG), 1]
    assert len(master.fetches) == fetched + 1  # the other one was here


@pytest.mark.parametrize("how", KINDS)
async def test_a_large_result_is_stored_before_the_end_is_told(
    master: FakeMaster, start: StartWorker, digest: str, how: dict[str, Any]
) -> None:
    running = await start(slots=1)
    for attempt, size in enumerate((OUTPUT_BYTES_MAX, 3_000_000, 200_000), 1):
        master.say(order(attempt, call=call("big", size, **how), bundle=digest))
        assert put_out(master, await result(master, attempt)) == b"x" * size
    assert values_on(running) == []
    master.say(order(9, call=call("add", 1, 2, **how), bundle=digest))
    ended = await result(master, 9)
    assert (ended.output, ended.artifacts) == (b"3", None)
    before = len(master.fetches)
    blob = BlobRef(Digest(hashlib.sha256(encode_result(b"x" * 200_000)).hexdigest()), 200_002)
    taker = call("size", Ref(0), inputs=("a",), **how)
    master.say(order(10, call=taker, bundle=digest, results=(b"",), large_results={0: blob}))
    assert decode_result((await result(master, 10)).output) == [200_000]
    assert len(master.fetches) == before  # the worker keeps what it has stored


@pytest.mark.parametrize("how", KINDS)
async def test_what_a_call_writes_as_its_output_goes_before_what_it_returns(
    master: FakeMaster, start: StartWorker, digest: str, how: dict[str, Any]
) -> None:
    running = await start(slots=1)
    master.say(order(1, call=call("write", 10, **how), bundle=digest))
    assert (await result(master, 1)).output == b"y" * 10
    master.say(order(2, call=call("write", 100_000, **how), bundle=digest))
    assert put_out(master, await result(master, 2)) == "y" * 100_000
    master.say(order(3, call=call("write_and_fail", **how), bundle=digest))
    assert (await result(master, 3)).detail.endswith("" if how else "ValueError: no")
    master.say(order(4, call=call("add", 1, 2, **how), bundle=digest))
    ended = await result(master, 4)
    assert (ended.output, ended.artifacts) == (b"3", None)
    assert values_on(running) == []


async def test_an_output_beyond_the_limit_fails_the_call_by_name(
    master: FakeMaster, start: StartWorker, digest: str
) -> None:
    running = await start(slots=1)
    master.say(order(1, call=call("write", OUTPUT_BLOB_BYTES_MAX + 1), bundle=digest))
    ended = await result(master, 1)
    assert (ended.exit_code, ended.artifacts) == (1, None)
    assert f"put out {OUTPUT_BLOB_BYTES_MAX + 1} bytes; at most" in ended.detail
    assert values_on(running) == []


def test_a_result_beyond_the_limit_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving, "OUTPUT_BLOB_BYTES_MAX", 10)
    one = CallOrder(1, 1, 1, "r", "j", "m", "name", "", b"", "", (), False, {})
    with pytest.raises(resolving.CallFailed, match="the result of name takes 14 bytes; at most 10"):
        resolving._encoded("x" * 12, one)


async def test_a_kill_while_a_result_is_stored_gives_it_up_and_harms_no_other_call(
    master: FakeMaster, start: StartWorker, digest: str
) -> None:
    running = await start(slots=2)
    master.takes_uploads.clear()
    master.say(order(1, call=call("big"), bundle=digest))
    await until(lambda: master.uploads == 1)
    master.say(order(2, call=call("add", 1, 1), bundle=digest))
    assert (await result(master, 2)).output == b"2"
    assert master.result(1) is None
    master.say(KillAttempt(attempt=1, epoch=1, reason="cancelled"))  # type: ignore[arg-type]
    await until(running.worker._core.is_idle)
    assert values_on(running) == []
    assert master.result(1) is None


async def test_values_that_are_gone_or_too_much_keep_a_call_from_starting(
    master: FakeMaster, start: StartWorker, digest: str
) -> None:
    await start(slots=1)
    gone = BlobRef(Digest("0" * 64), 100_000)
    large = BlobRef(Digest("1" * 64), 2 * OUTPUT_BLOB_BYTES_MAX)
    other = BlobRef(Digest("2" * 64), 2 * OUTPUT_BLOB_BYTES_MAX + 1)
    taker = call("size", Ref(0), inputs=("a",))
    master.say(order(1, call=taker, bundle=digest, results=(b"",), large_results={0: gone}))
    ended = await result(master, 1)
    assert ended.cause in ("start_failed", "not_prepared")
    assert "0" * 64 in ended.detail
    many = {"results": (b"", b""), "large_results": {0: large, 1: other}}
    taker = call("size", Ref(0), Ref(1), inputs=("a", "b"))
    master.say(order(2, call=taker, bundle=digest, **many))
    ended = await result(master, 2)
    assert ended.cause == "start_failed"
    assert "take 4294967297 bytes together; at most 4294967296" in ended.detail


@pytest.mark.parametrize("how", KINDS)
async def test_pickles_travel_as_blobs_too(
    master: FakeMaster, start: StartWorker, digest: str, how: dict[str, Any]
) -> None:
    await start(slots=1)
    given = call_arguments.from_objects([BIG, Ref(0)], {}, "x")
    blobs = tuple(put(master, one) for one in given.blobs)
    one = Call(
        module="mod",
        name="size",
        args=given.args,
        blobs=blobs,
        inputs=("a",),  # type: ignore[arg-type]
        serializer="pickle",
        **how,
    )
    theirs = put(master, call_pickles.dump_result(b"x" * 100_000))
    master.say(order(1, call=one, bundle=digest, results=(b"",), large_results={0: theirs}))
    found = (await result(master, 1)).output
    assert call_pickles.load_result(found) == [len(BIG), 100_000]
    one = Call(
        module="mod",
        name="big",
        serializer="pickle",
        args=call_pickles.dumps(([70_000], {}), ""),
        **how,
    )
    master.say(order(2, call=one, bundle=digest))
    ended = await result(master, 2)
    data = master.blobs[ended.artifacts.output]  # type: ignore[union-attr]
    assert data.startswith(PICKLED)
    assert call_pickles.load_result(data) == b"x" * 70_000
