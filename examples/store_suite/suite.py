"""Everything the key-value store does, with eight tasks that get into each other's way.

Each part prints what came out; a part that came out wrong ends the program.
"""

import threading
from pathlib import Path

from titan.sdk import TitanClient, TitanJob

HERE = Path(__file__).parent
TASKS = 8


def values(client: TitanClient, at: str) -> None:
    client.store_put(f"{at}/text", "Grüße")
    client.store_put(f"{at}/bytes", b"\x00\xff")
    assert client.store_get(f"{at}/text") == "Grüße"
    assert client.store_get(f"{at}/bytes") == b"\x00\xff"
    assert client.store_get(f"{at}/nothing") is None
    assert client.store_cas(f"{at}/owner", None, "me")
    assert not client.store_cas(f"{at}/owner", None, "you")
    assert client.store_sadd(f"{at}/seen", "a,b") == 1
    assert client.store_sadd(f"{at}/seen", "a,b") == 0
    assert client.store_smembers(f"{at}/seen") == ["a,b"]
    print("values, comparisons and sets: as they should be")


def expiry(client: TitanClient, at: str) -> None:
    client.store_put(f"{at}/short", "soon gone", ttl_s=1)
    assert client.store_get(f"{at}/short") == "soon gone"
    client.wait_for(f"{at}/short", None, timeout=20)
    print("a key with a time to live: gone")


def watching(client: TitanClient, at: str) -> None:
    seen = []

    def follow() -> None:
        for change in client.watch(f"{at}/steps/"):
            seen.append(change.item.value if change.item else "gone")
            if seen[-1] == "gone":
                return

    follower = threading.Thread(target=follow, daemon=True)
    client.store_put(f"{at}/steps/n", "0")
    follower.start()
    while not seen:
        follower.join(0.01)
    for step in "123":
        client.store_put(f"{at}/steps/n", step)
    client.store_delete(f"{at}/steps/n")
    follower.join(20)
    assert seen == ["0", "1", "2", "3", "gone"], seen
    print(f"a watch: {', '.join(seen)}")


def contention(client: TitanClient, at: str) -> None:
    tasks = [TitanJob(f"task-{n}", HERE / "contend.py", args=[at]) for n in range(TASKS)]
    run = client.submit_dag("store-suite", tasks)
    state = run.wait(timeout=60)
    assert state == "COMPLETED", state
    for way in ("incr", "cas", "lock"):
        total = int(client.store_get(f"{at}/{way}"))
        assert total == TASKS * 5, (way, total)
        print(f"{TASKS} tasks, 5 additions each, by {way}: {total}")
    assert sorted(client.store_smembers(f"{at}/tasks")) == sorted(task.id for task in tasks)


with TitanClient() as client:
    at = f"suite/{client.store_incr('suites')}"
    for part in (values, expiry, watching, contention):
        part(client, at)
    for item in client.store_list(f"{at}/"):
        client.store_delete(item.key)
