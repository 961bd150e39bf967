"""Answer a question from a folder of documents: plan, search side by side, look again, answer with sources.

python examples/research_agent/research.py "Who quarantines a damaged file?" docs
"""

import sys
from pathlib import Path

import model

from titan.sdk import TitanClient, TitanJob

HERE = Path(__file__).parent


def main() -> None:
    question, folder = sys.argv[1:]
    with TitanClient() as client:
        here = client.upload_project_folder(HERE)
        library = {
            page.name: client.upload_file(page) for page in sorted(Path(folder).glob("*.md"))
        }
        run = client.submit_dag(
            "research",
            [
                TitanJob(
                    "plan",
                    "plan.py",
                    args=[
                        here,
                        question,
                        *(f"{name}={digest}" for name, digest in library.items()),
                    ],
                    bundle=here,
                    env=model.settings(),
                )
            ],
        )
        state = run.wait(timeout=300)
        print(f"run {run}: {state}")
        for job in run.jobs():
            print(f"  {job.id} {job.state}")
        print(run.logs("answer"), end="")


if __name__ == "__main__":
    main()
