"""A diamond: one job takes a text apart, two look at it side by side, one brings both together.

The text is Python's own language reference, as `help()` shows it. Files pass between jobs as artifacts,
small results as outputs.
"""

from pathlib import Path

from titan.sdk import TitanClient, TitanJob

HERE = Path(__file__).parent
TEXT = {"in": ["read:text.txt"]}

with TitanClient() as client:
    run = client.submit_dag(
        "diamond",
        [
            TitanJob("read", HERE / "read.py", artifacts={"out": ["text.txt"]}),
            TitanJob("words", HERE / "words.py", parents=["read"], artifacts=TEXT),
            TitanJob("sentences", HERE / "sentences.py", parents=["read"], artifacts=TEXT),
            TitanJob("report", HERE / "report.py", parents=["words", "sentences"]),
        ],
    )
    print(f"run {run}: {run.wait(timeout=60)}")
    print(run.logs("report"), end="")
