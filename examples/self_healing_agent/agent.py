"""An agent that writes a program, runs it as a job, and mends it when it fails.

`plan` writes the program into the store, `work` runs it. When `work` fails, `heal-1` reads its log,
rewrites the program, runs `work` again, and leaves `heal-2` to watch over that.
"""

from pathlib import Path

import model

from titan.sdk import TitanClient, TitanJob

HERE = Path(__file__).parent


def main() -> None:
    env = model.settings()
    with TitanClient() as client:
        here = client.upload_project_folder(HERE)
        run = client.submit_dag(
            "self-healing",
            [
                TitanJob("plan", "plan.py", bundle=here, env=env),
                TitanJob("work", "work.py", parents=["plan"], bundle=here, retries=0),
                TitanJob(
                    "heal-1",
                    "heal.py",
                    args=[here],
                    parents=["work"],
                    trigger="any_failed",
                    bundle=here,
                    env=env,
                ),
            ],
        )
        print(f"run {run}: {run.wait(timeout=300)}")
        for job in run.jobs():
            print(f"{job.id}: {job.state}, {job.attempts} attempts")
            if job.id.startswith("heal") and job.state == "COMPLETED":
                print(f"  {run.logs(job.id).strip()}")
        print(run.get_output("work"))


if __name__ == "__main__":
    main()
