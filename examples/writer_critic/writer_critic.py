"""A writer and a critic who go on until the critic has nothing left to say.

    python examples/writer_critic/writer_critic.py examples/writer_critic/about.md

`write-1` drafts, `critic-1` reads it. With complaints the critic adds `write-2` and `critic-2` to the run.
"""

import sys
from pathlib import Path

import model

from titan.sdk import TitanClient, TitanJob

HERE = Path(__file__).parent


def main() -> None:
    with TitanClient() as client:
        here = client.upload_project_folder(HERE)
        how = {"args": [here, client.upload_file(sys.argv[1])], "bundle": here}
        how["env"] = model.settings()
        run = client.submit_dag(
            "writer-critic",
            [
                TitanJob("write-1", "write.py", **how),
                TitanJob("critic-1", "critic.py", parents=["write-1"], **how),
            ],
        )
        state = run.wait(timeout=300)
        print(f"run {run}: {state}")
        jobs = [job.id for job in run.jobs()]
        if state != "COMPLETED":
            sys.exit(str(run.logs(jobs[-1])))
        for writer, critic in zip(jobs[::2], jobs[1::2], strict=True):
            draft, complaints = run.get_output(writer), run.get_output(critic)
            print(f"\n{writer} ({len(draft.split())} words): {draft}")
            print(f"{critic}: {'; '.join(complaints) or 'accepted'}")


if __name__ == "__main__":
    main()
