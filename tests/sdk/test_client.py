"""The client for code without asyncio, the in-task context and discovery."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable

import pytest

from tests.sdk.fake_cluster import FakeCluster
from titan.errors import ProtocolError, UserError
from titan.sdk import TitanClient, TitanJob, current
from titan.sdk.discovery import first_masters

Make = Callable[..., Awaitable[FakeCluster]]


def test_everything_works_without_asyncio(addresses: tuple[str, FakeCluster]) -> None:
    where, cluster = addresses
    with TitanClient(where) as client:
        run = client.submit_dag("demo", [TitanJob("a", command="true")])
        assert f"{run}" == run.id
        assert run.status() == "PENDING"
        cluster.finish(run.id, "a")
        cluster.logs[run.id, "a"] = b"hello"
        assert run.wait(10) == "COMPLETED"
        assert [change.run.state for change in run.watch()] == ["COMPLETED"]
        assert "".join(client.follow_logs("a")) == run.logs("a") == "hello"
        assert run.logs() == {"a": "hello"}
        assert client.store_incr("k") == 1
        changes = client.watch("k")
        assert next(changes).key == "k"
        changes.close()  # type: ignore[attr-defined]
        assert client.cluster_info().leader == cluster.masters[0].address
        assert [worker.id for worker in client.list_workers()] == ["w-1"]
    client.close()
    with pytest.raises(ProtocolError, match="closed"):
        client.store_get("k")


def test_a_client_that_is_dropped_ends_its_thread(addresses: tuple[str, FakeCluster]) -> None:
    before = threading.active_count()
    client = TitanClient(addresses[0])
    client.store_put("k", "v")
    portal = client._portal
    assert threading.active_count() == before + 1
    del client
    gc.collect()
    portal._thread.join(10)
    assert not portal._thread.is_alive()


def test_a_client_may_be_collected_in_its_own_thread(addresses: tuple[str, FakeCluster]) -> None:
    client = TitanClient(addresses[0])
    client.store_put("k", "v")
    portal, closer = client._portal, client._closer

    async def collect() -> None:
        closer()

    portal.call(collect())
    portal._thread.join(10)
    assert not portal._thread.is_alive()


def test_threads_share_one_client(addresses: tuple[str, FakeCluster]) -> None:
    where, _ = addresses
    with TitanClient(where) as client:

        def count() -> None:
            for _ in range(20):
                client.store_incr("k")

        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.store_get("k") == "80"


def test_a_forked_child_has_an_identity_of_its_own(addresses: tuple[str, FakeCluster]) -> None:
    where, _ = addresses
    code = """
import os, sys
from titan.sdk import TitanClient
client = TitanClient(sys.argv[1])
client.store_incr("k")
child = os.fork()
for _ in range(5):
    client.store_incr("k")
if child == 0:
    client.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(client.store_get("k"))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, where], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout == "11\n", done.stderr


def test_the_task_knows_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TITAN_ATTEMPT", "TITAN_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="inside a Titan task"):
        current()
    values = {"RUN_ID": "r-1", "JOB_ID": "a", "ATTEMPT": "7", "ATTEMPT_NUMBER": "2", "FENCE": "99"}
    for name, value in values.items():
        monkeypatch.setenv(f"TITAN_{name}", value)
    me = current()
    assert (me.run, me.job, me.attempt, me.number, me.fence) == ("r-1", "a", 7, 2, 99)
    assert current() is me  # one client and one pace of progress, however often it is asked


def test_masters_come_from_the_argument_then_the_environment_then_the_default() -> None:
    both = {"TITAN_MASTERS": "a:1, b:2,", "TITAN_HOST": "h"}
    assert first_masters("x:1", environment=both) == ("x:1",)
    assert first_masters(["x:1", "y:2"], environment=both) == ("x:1", "y:2")
    assert first_masters(None, environment=both) == ("a:1", "b:2")
    assert first_masters(None, environment={"TITAN_HOST": "h"}) == ("h:9090",)
    assert first_masters(None, environment={"TITAN_PORT": "7"}) == ("127.0.0.1:7",)
    assert first_masters(None, environment={"TITAN_HOST": "::1"}) == ("[::1]:9090",)
    assert first_masters(None, environment={}) == ("127.0.0.1:9090",)
    for bad in ("", "nonsense", "h:port"):
        with pytest.raises(UserError):
            first_masters(bad, environment={})


def test_importing_the_library_loads_nothing_heavy() -> None:
    code = "import sys, titan.sdk; print(*sorted(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    heavy = {"aiohttp", "asyncio", "msgspec", "pathspec", "pysyncobj", "rich", "uvloop", "yaml"}
    assert not loaded & heavy
