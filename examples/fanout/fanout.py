"""Fan out over the pages of a folder, one job each, and bring the results together: map-reduce.

    python examples/fanout/fanout.py docs

Each page is uploaded, so workers need no shared disk. `longest.py` waits for all mappers.
"""

import sys
from pathlib import Path

from titan.sdk import TitanClient, TitanJob

HERE = Path(__file__).parent


def main() -> None:
    pages = sorted(Path(sys.argv[1]).glob("*.md"))
    with TitanClient() as client:
        mappers = [
            TitanJob(
                f"measure-{page.stem}",
                HERE / "measure.py",
                args=[client.upload_file(page), page.name],
            )
            for page in pages
        ]
        names = [job.id for job in mappers]
        rank = TitanJob("rank", HERE / "rank.py", args=names, parents=names)
        run = client.submit_dag("fanout", [*mappers, rank])
        print(f"run {run}, {len(pages)} pages: {run.wait(timeout=120)}")
        print(run.logs("rank"), end="")


if __name__ == "__main__":
    main()
