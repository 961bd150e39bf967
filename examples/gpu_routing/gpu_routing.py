"""Send each job to a machine that can do it, and pass small state through the key-value store.

`prepare` and `score` run anywhere, `train` only on workers of the capability GPU.
"""

from pathlib import Path

from titan.sdk import TitanClient, TitanJob

HERE = Path(__file__).parent

with TitanClient() as client:
    run = client.submit_dag(
        "gpu-routing",
        [
            TitanJob("prepare", HERE / "prepare.py"),
            TitanJob("train", HERE / "train.py", parents=["prepare"], requirement="GPU"),
            TitanJob("score", HERE / "score.py", parents=["train"]),
        ],
    )
    print(f"run {run}: {run.wait(timeout=60)}")
    workers = {worker.id: worker for worker in client.list_workers()}
    for job in run.jobs():
        worker = workers[job.history[-1].worker]
        print(f"{job.id} ran on {worker.name} ({', '.join(worker.capabilities)})")
    print(run.logs("score"), end="")
