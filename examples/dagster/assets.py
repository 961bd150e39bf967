"""Dagster assets whose work is done on Titan's workers.

    python examples/dagster/assets.py

`dagster dev -f examples/dagster/assets.py` shows them in Dagster's own pages.
"""

import sys
from pathlib import Path

from dagster import (
    AssetExecutionContext,
    Definitions,
    MaterializeResult,
    MetadataValue,
    asset,
    materialize,
)
from titan_resource import TitanResource

from titan.sdk import TitanJob

HERE = Path(__file__).parent


@asset
def primes(context: AssetExecutionContext, titan: TitanResource) -> MaterializeResult:
    """How many primes there are in four ranges, counted side by side."""
    count = HERE / "count.py"
    parts = [TitanJob(f"count-{n}", count, args=[n * 5000, (n + 1) * 5000]) for n in range(4)]
    outputs = titan.run("primes", parts, context.log)
    return MaterializeResult(
        value=sum(outputs.values()),
        metadata={"parts": MetadataValue.json(outputs)},
    )


@asset
def share(primes: int) -> float:
    """Which part of the numbers is prime: an asset that needs no cluster."""
    return primes / 20_000


@asset
def broken(context: AssetExecutionContext, titan: TitanResource) -> None:
    """What Dagster sees of a job that fails: its reason and its log."""
    titan.run(
        "broken", [TitanJob("bad", command="echo no such luck; exit 3", retries=0)], context.log
    )


defs = Definitions(assets=[primes, share, broken], resources={"titan": TitanResource()})


if __name__ == "__main__":
    resources = {"titan": TitanResource()}
    result = materialize([primes, share], resources=resources)
    print(f"primes below 20000: {result.output_for_node('primes')}")
    print(f"share: {result.output_for_node('share')}")
    failed = materialize([broken], resources=resources, raise_on_error=False)
    (event,) = failed.get_step_failure_events()
    failure = event.step_failure_data.user_failure_data
    print(f"broken: {failure.metadata['bad'].value}")
    sys.exit(not result.success or failed.success)
