"""Count the words of one shard.

Counting a shard takes a fraction of a second, too short to watch a cluster lose its leader. So the
mapper paces itself: it spreads its files over `pace_s` seconds (a parameter of the pipeline; 0 for none).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter

import words

from titan.sdk import TitanClient


def main() -> None:
    run, number = os.environ["TITAN_RUN_ID"], sys.argv[1]
    pace_s = float(os.environ["TITAN_PARAM_pace_s"])  # noqa: SIM112 - as declared
    client = TitanClient()
    names = json.loads(client.store_get(words.key(run, f"shard-{number}")))
    counts: Counter[str] = Counter()
    started = time.monotonic()
    for done, name in enumerate(names, start=1):
        counts.update(words.count_file(name))
        ahead_s = pace_s * done / len(names) - (time.monotonic() - started)
        time.sleep(max(0.0, ahead_s))
        if done % max(1, len(names) // 10) == 0:
            print(f"{done} of {len(names)} files, {counts.total()} words")
    client.store_put(words.key(run, f"counts-{number}"), words.pack(counts))


if __name__ == "__main__":
    main()
