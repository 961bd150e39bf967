"""The declared form of a job and a pipeline, as it travels and as the state machine keeps it.

These structs are the normal form: v1 names are translated, units are integers, defaults are merged,
files are paths inside a content-addressed bundle. `titan.spec.yaml_file` and `titan.sdk` produce it.
Encoded with omitted defaults, so a plain job costs tens of bytes. Field names are on disk: adding one
with a default is safe, renaming or reusing one is not.
"""

from __future__ import annotations

from typing import Final

import msgspec

from titan.ids import Digest, JobId
from titan.spec.budgets import BudgetSpec
from titan.spec.service import HealthSpec, RestartSpec

JOB_TYPES: Final = ("run", "service", "gate", "pipeline")
UNATTENDED: Final = ("gate", "pipeline")  # these ask for no worker
V1_JOB_TYPES: Final = {
    "RUN_PAYLOAD": "run",
    "TASK": "run",
    "SERVICE": "service",
    "DEPLOY_PAYLOAD": "service",
}
TRIGGERS: Final = ("all_success", "all_done", "any_success", "any_failed", "none_failed")
SERIALIZERS: Final = ("", "pickle")  # of calls
ISOLATIONS: Final = ("process", "sandbox", "container")
DEFAULT_CAPABILITY: Final = "GENERAL"
DEFAULT_TIMEOUT_MS: Final = 86_400_000

Scalar = str | int | float | bool | None


class Input(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One thing to fill in. Without `default` and not `required` it may stay None."""

    type: str = "string"
    default: Scalar = None
    required: bool = False
    choices: tuple[str | int | float | bool, ...] = ()
    help: str = ""


class Approvers(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Who has to approve at a gate: `count` of them; anybody when neither users nor roles are named."""

    count: int = 1
    users: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


class BlobRef(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A value that is too large for a message, by its SHA-256."""

    digest: Digest
    size: int


class Call(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A Python function that a job calls, by reference: its code travels in the bundle, never here.

    Titan's own processes carry `args`, `blobs` and the results of `inputs` and never look into them.
    """

    module: str
    name: str  # qualified: `make`, `Tools.make`
    args: bytes = b""  # see `call_values.py`; empty when there are none
    inputs: tuple[JobId, ...] = ()  # jobs whose outputs `args` refers to, by position
    path: str = ""  # file in the bundle to import as `module`, which no import would find
    serializer: str = (
        ""  # "": values by their types; pickle: decoded only in the task's own process
    )
    isolated: bool = False  # a process of its own, as a script has
    workspace: bool = False  # an empty folder of its own to work in
    blobs: tuple[BlobRef, ...] = ()  # large arguments, which `args` refers to by position
    args_are_blob: bool = False  # `args` themselves are the last of `blobs`


class JobSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """One vertex of a run. Exactly one of `file`, `argv`, `shell`, `call` is set for a `run` job, one of
    the first three for a service, none for a `gate` or a `pipeline`."""

    id: JobId
    type: str = "run"
    file: str = ""  # path inside the bundle; .py by Python, .sh by bash, else executed
    argv: tuple[bytes, ...] = ()  # a command as an argument list
    shell: bytes = b""  # a command as a shell line, run by `bash -c`
    args: tuple[bytes, ...] = ()  # appended to `file`, to `argv`, or given to `shell` as $1, $2, …
    env: dict[str, str] = {}
    bundle: Digest = Digest("")  # overrides the run's bundle
    depends_on: tuple[JobId, ...] = ()
    trigger: str = "all_success"
    requirement: tuple[str, ...] = (DEFAULT_CAPABILITY,)  # every tag must be offered
    resources: dict[str, int] = {}  # slots, cpu_milli, memory_mb, gpus, custom; slots default to 1
    priority: int = 1  # higher first
    delay_ms: int = 0  # from the moment the job is unblocked
    affinity: bool = False  # prefer the worker that ran a parent
    retries: int = 3
    retry_backoff_ms: int = 1000
    retry_backoff_cap_ms: int = 60_000
    no_retry_exit_codes: tuple[int, ...] = ()
    timeout_ms: int = DEFAULT_TIMEOUT_MS
    queue_timeout_ms: int = 0  # 0: waits for ever
    isolation: str = "process"
    image: str = ""  # of a container
    network: bool | None = None  # None: as the isolation has it, which is none but for `process`
    limits: dict[str, int] = {}  # open_files, output_mb, processes
    python: str = (
        ""  # interpreter or virtual environment on the worker; in the image of a container
    )
    requirements: tuple[str, ...] = ()  # lines; the worker builds an environment for them
    requirements_file: str = ""  # the same as a path inside the bundle
    artifacts_out: tuple[str, ...] = ()  # patterns of files that it leaves for others
    artifacts_in: tuple[str, ...] = ()  # "job:pattern" or "job:pattern -> target", see `globs.py`
    # A gate, or the gate that is put after a job of another type (`gates.py`).
    hitl_message: str = ""  # what people are asked
    max_wait_ms: int = 172_800_000  # from the moment it waits; then it fails
    approvers: Approvers = Approvers()
    form: dict[str, Input] = {}  # whose answers are the gate's output
    gate_of: JobId = JobId("")  # the job that this gate was put after
    # A saved pipeline that runs as a sub-run.
    pipeline: str = ""
    pipeline_version: int = 0  # 0: the latest when it starts
    parameters: dict[str, Scalar] = {}
    port: int = 0  # services: 0 means that Titan picks one
    health: HealthSpec | None = None  # services: None asks by TCP
    restart: RestartSpec | None = None  # services
    call: Call | None = None
    # Conditions and instances (`conditions.py`).
    when: str = ""  # an expression; false: skipped
    foreach: str = ""  # an expression that comes to a list: one instance per element
    foreach_items: bytes = b""  # or such a list as it stands, as JSON
    instance_of: JobId = JobId("")  # the foreach job whose instance this is


_FIELDS_OF_VERSION_1: Final = 22  # of `JobSpec`, in order
_LATER: Final = tuple(
    (
        field.name,
        field.default if field.default is not msgspec.NODEFAULT else field.default_factory(),
    )
    for field in msgspec.structs.fields(JobSpec)[_FIELDS_OF_VERSION_1:]
)


def version_of(spec: JobSpec) -> int:
    """Which version of the state machine's commands can carry this declaration.

    A master that does not know a field cannot read an entry that uses it.
    """
    if spec.type != "run" or spec.isolation != "process":
        return 2
    return 2 if any(getattr(spec, name) != default for name, default in _LATER) else 1


CATCHUPS: Final = ("none", "last", "all")
OVERLAPS: Final = ("allow", "skip", "queue", "cancel_running")


class ScheduleSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """When a pipeline starts by itself. `catchup` is for times that passed while nobody could fire them."""

    cron: str  # five fields, six with seconds in front, or @daily and the like
    timezone: str = "UTC"
    catchup: str = "none"  # none | last | all
    overlap: str = (
        "allow"  # when the run before has not ended: allow | skip | queue | cancel_running
    )
    jitter_ms: int = 0  # each firing is up to so much later, by a number that its time decides
    paused: bool = False  # how it begins


class PipelineSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A declared pipeline: what `submit` turns into a run."""

    name: str
    jobs: tuple[JobSpec, ...]
    version: str = ""
    parameters: dict[str, Scalar] = {}  # the defaults of `inputs`, for those who want values
    inputs: dict[str, Input] = {}  # the parameters as declared
    schedule: ScheduleSpec | None = None
    budget: BudgetSpec | None = None  # of each of its runs
    labels: dict[str, str] = {}  # of each of its runs


def slots_of(resources: dict[str, int]) -> int:
    """How many of a worker's slots a job takes; 1 unless it says otherwise, 0 is allowed."""
    return resources.get("slots", 1)
