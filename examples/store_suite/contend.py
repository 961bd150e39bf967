"""One of several tasks that add to the same numbers, in three ways that lose nothing."""

import sys

from titan.sdk import current

at = sys.argv[1]
me = current()
store = me.client
store.store_sadd(f"{at}/tasks", me.job)

for _ in range(5):
    store.store_incr(f"{at}/incr")

for _ in range(5):
    while True:
        before = store.store_get(f"{at}/cas")
        if store.store_cas(f"{at}/cas", before, int(before or 0) + 1):
            break

with store.lock(f"{at}/lock", timeout=60) as lock:
    for _ in range(5):
        total = int(store.store_get(f"{at}/lock") or 0)
        store.store_put(f"{at}/lock", total + 1, if_lock=lock)
