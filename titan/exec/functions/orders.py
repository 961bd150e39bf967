"""Which jobs are calls for a warm process, and what such a call says to it."""

from __future__ import annotations

from collections.abc import Mapping

from titan.exec.drivers import CannotStart
from titan.exec.functions.protocol import CallOrder
from titan.ids import Digest
from titan.limits import CALL_INPUTS_BYTES_MAX
from titan.spec.model import JobSpec
from titan.wire.messages import RunAttempt


def is_shared(spec: JobSpec) -> bool:
    """Whether the job is a call for a warm process: a process has limits but once."""
    return (
        spec.call is not None
        and not spec.call.isolated
        and not (spec.limits or spec.artifacts_out or spec.artifacts_in)
        and not spec.resources.keys() - {"slots", "gpus"}
    )


def call_of(order: RunAttempt, paths: Mapping[Digest, str]) -> CallOrder:
    """The call that an attempt is; `paths`: where its large values are. Raises `CannotStart` when its
    inputs did not fit."""
    call = order.spec.call
    assert call is not None
    if len(order.results) != len(call.inputs):
        raise CannotStart(
            f"the results that {call.name} is given are not all there, or take more than "
            f"{CALL_INPUTS_BYTES_MAX} bytes together",
            hint="every job whose result is an argument has to complete; combine many in steps",
        )
    return CallOrder(
        attempt=order.attempt,
        number=order.number,
        fence=order.fence,
        run=order.run,
        job=order.spec.id,
        module=call.module,
        name=call.name,
        path=call.path,
        args=call.args,
        serializer=call.serializer,
        inputs=order.results,
        workspace=call.workspace,
        env={**order.env, **order.spec.env},
        blobs=tuple([paths[one.digest] for one in call.blobs]),
        args_are_blob=call.args_are_blob,
        large_inputs={n: paths[one.digest] for n, one in order.large_results.items()},
    )
