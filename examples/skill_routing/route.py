"""Route tickets by skill: each to workers that have its best skill, as the cluster has them now.

A ticket names skills, the best first. The first that a worker offers becomes the job's requirement.
A ticket whose skills nobody has waits; `client.why` says for what, then it goes to the generalists.
"""

import json
from pathlib import Path

from titan.sdk import TitanClient, TitanJob

HERE = Path(__file__).parent


def choose(skills: list[str], offered: set[str]) -> str:
    """The best skill that there is; the best one of all when there is none, to wait for."""
    return next((skill for skill in skills if skill in offered), [*skills, "GENERAL"][0])


def main() -> None:
    tickets = json.loads((HERE / "tickets.json").read_text())
    with TitanClient() as client:
        workers = {
            worker.id: worker for worker in client.list_workers() if worker.state == "online"
        }
        offered = {skill for worker in workers.values() for skill in worker.capabilities}
        chosen = {ticket["id"]: choose(ticket["skills"], offered) for ticket in tickets}
        jobs = [
            TitanJob(
                ticket["id"],
                HERE / "work.py",
                args=[ticket["text"]],
                requirement=chosen[ticket["id"]],
            )
            for ticket in tickets
        ]
        run = client.submit_dag("tickets", jobs)
        for name, skill in chosen.items():
            if skill not in offered and skill != "GENERAL":
                print(f"{name} waits: {client.why(name, run.id).text}")
                client.reroute(run, name, "GENERAL")
                chosen[name] = "GENERAL"
        print(f"run {run}: {run.wait(timeout=60)}")
        for job in run.jobs():
            worker = workers[job.history[-1].worker].name
            print(f"{job.id} [{chosen[job.id]}] on {worker}: {run.logs(job.id).strip()}")


if __name__ == "__main__":
    main()
