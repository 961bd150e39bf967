"""A switch: what runs next is decided by a running task, from what it finds.

    python examples/dynamic_switch/switch.py FILE

`look` looks at the file and adds the branch for what it is; only that branch ever exists.
"""

import sys
from pathlib import Path

from titan.sdk import TitanClient, TitanJob

HERE = Path(__file__).parent


def main() -> None:
    with TitanClient() as client:
        scripts = client.upload_project_folder(HERE)
        digest = client.upload_file(sys.argv[1])
        look = TitanJob("look", "look.py", args=[digest, scripts], bundle=scripts)
        run = client.submit_dag("switch", [look])
        print(f"run {run}: {run.wait(timeout=60)}")
        print("jobs:", " -> ".join(job.id for job in run.jobs()))
        print(run.logs(run.jobs()[-1].id), end="")


if __name__ == "__main__":
    main()
