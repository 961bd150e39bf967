"""Every bound in Titan, each with its reason. Nothing grows without one of these."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

# --- the log -------------------------------------------------------------------------------
ENTRY_BYTES_MAX: Final = 256 * KIB  # one fsync and one message; larger submissions are staged
ENTRY_COMMANDS_MAX: Final = 1024  # their apply, and all who hear of it, take about 25 ms
APPEND_BATCH_BYTES: Final = 512 * KIB  # above ENTRY_BYTES_MAX: no entry is ever split
PROPOSALS_WAITING_BYTES_MAX: Final = 256 * MIB  # the same bound in memory
PROPOSALS_WAITING_MAX: Final = 65_536  # beyond it a master answers `unavailable`

# --- the wire ------------------------------------------------------------------------------
FRAME_BYTES_MAX: Final = 4 * MIB  # a batch of entries, with room; a longer length is a lie
FIRST_FRAME_BYTES_MAX: Final = 64 * KIB  # nobody needs more to say who they are
HELLO_TIMEOUT_S: Final = 5.0  # a connection that says nothing is closed
CHANNEL_WINDOW_BYTES: Final = 1 * MIB  # unacknowledged stream data per channel
CHANNELS_PER_CONNECTION_MAX: Final = 1024
CALLS_PER_CONNECTION_MAX: Final = 16_384  # being served at once; a forwarding master has many
SEND_BUFFER_BYTES_MAX: Final = 32 * MIB  # a peer that does not read is cut off
CONNECTIONS_MAX: Final = 4096  # per master; descriptors stay for the journal and blobs
DESCRIPTORS_RESERVED: Final = 96  # never taken by connections: the log, blobs, peers, HTTP
CHUNK_BYTES: Final = 256 * KIB  # one piece of a blob or a log on the wire

# --- declarations --------------------------------------------------------------------------
JOBS_PER_RUN_MAX: Final = 200_000
JOB_SPEC_BYTES_MAX: Final = 64 * KIB  # arguments and environment; larger data is a file
PARENTS_PER_JOB_MAX: Final = 100_000
NAME_CHARS_MAX: Final = 128
RETRIES_MAX: Final = 1000
EXPRESSION_CHARS_MAX: Final = 4096  # a condition; whoever needs more writes a job
EXPRESSION_DEPTH_MAX: Final = 64  # bounds the evaluator's stack
EXPRESSION_DATA_BYTES_MAX: Final = 1 * MIB  # outputs that one expression may ask about
EXPRESSION_BYTES_PER_ENTRY: Final = 512 * KIB  # read by the conditions of one entry: a few ms
ANCESTRY_STEPS_MAX: Final = 100_000  # edges followed upwards to check the conditions of one command
FOREACH_INSTANCES_MAX: Final = 10_000  # of one foreach; lists in outputs are hardly longer
FOREACH_EDGES_MAX: Final = 100_000  # instances times parents of one foreach
FOREACH_PER_ENTRY: Final = 250  # instances made by one entry: about 10 ms
LABELS_PER_RUN_MAX: Final = 32  # in every view of the run, and looked at by every filter
LABEL_KEY_CHARS_MAX: Final = 64  # a word or a path of words
LABEL_VALUE_CHARS_MAX: Final = 256  # a line; a full set of them stays under half of an entry
CRON_CHARS_MAX: Final = 256  # a list of every minute of an hour still fits
JOB_LIMIT_MAX: Final = 2**31 - 1  # of one of a job's `limits`; the kernel's own are lower
REQUIREMENTS_MAX: Final = 1000  # lines in a declaration; a lock file travels in the bundle
REQUIREMENT_CHARS_MAX: Final = 4096  # with a handful of hashes
YAML_BYTES_MAX: Final = 16 * MIB
BUNDLE_BYTES_MAX: Final = 256 * MIB  # a project, packed; data sets belong where workers reach them
BUNDLE_FILES_MAX: Final = 100_000
BUNDLE_UNPACKED_BYTES_MAX: Final = 2048 * MIB  # refuses archive bombs

# --- state ---------------------------------------------------------------------------------
KV_KEY_BYTES_MAX: Final = 512
KV_VALUE_BYTES_MAX: Final = 128 * KIB  # larger values are blobs
KV_SET_MEMBERS_MAX: Final = 65_536
KV_MEMBER_BYTES_MAX: Final = 4 * KIB  # a full set of the longest members still fits in memory
KV_KEYS_MAX: Final = 1_000_000  # a runaway loop over fresh keys meets an answer, not a full master
BUDGETS_MAX: Final = 10_000  # each is a few hundred bytes, and a look for every job under it
BUDGETS_PER_RUN_MAX: Final = 8  # each is debited in every apply that adds jobs
BUDGET_AMOUNT_MAX: Final = 2**53  # exact in every language that reads the API
BUDGET_UNITS_MAX: Final = 32  # kinds of units one budget limits or one run spends
PAID_PER_ENTRY: Final = 500  # jobs that one look lets go on: well under a millisecond each hundred
DURATION_MS_MAX: Final = 315_360_000_000  # ten years; sums of times stay far inside 64 bits
WORKER_FORGET_MS: Final = 86_400_000  # a lost worker stays listed for a day
OUTPUT_BYTES_MAX: Final = 64 * KIB  # a job's output in state; larger ones are blobs
OUTPUT_BLOB_BYTES_MAX: Final = 1 * GIB  # such a blob: only whoever uses it holds it in memory
SESSIONS_MAX: Final = 50_000  # client sessions remembered for idempotence
SESSION_RESULTS_MAX: Final = 1024  # requests one client may have in flight
SESSION_IDLE_MS: Final = 600_000  # how long a silent client may still repeat a request
ATTEMPT_HISTORY_MAX: Final = 16  # ended attempts kept per job, newest last
LOSSES_IN_A_ROW_MAX: Final = 8  # a job whose workers die again and again is what kills them
STAGED_BYTES_MAX: Final = 64 * MIB  # parts of submissions not yet completed
STAGE_TTL_MS: Final = 120_000
STAGE_PARTS_AHEAD_MAX: Final = 4  # parts kept before their turn; all may be built in by one entry
JOBS_PER_COMMAND_MAX: Final = 8192  # declared by one command: keeps its apply under 50 ms
SETTLE_STEPS_PER_ENTRY: Final = 4000  # edges and jobs that effects reach by one entry: 10 ms
SETTLE_STEPS_EACH: Final = 16  # and by each command in any case: small runs wait for no large one
HELD_BACK_AT_ONCE: Final = 64  # proposals about a run that come back when it is settled
TIMERS_PER_ENTRY_MAX: Final = 2000  # fired by one `AdvanceTime`; the next one takes the rest
EVENTS_PER_ADVANCE_MAX: Final = 1000  # and no more timers once these have done so much: 25 ms
FINISHED_RUNS_MAX: Final = 10_000  # newest finished runs that are remembered, by default
FINISHED_RUNS_CAP: Final = 100_000  # what a cluster may set that to: each costs about a kilobyte
FINISHED_JOBS_MAX: Final = 1_000_000  # of all of them together: under a gigabyte of memory
FINISHED_KEEP_MS: Final = 2_592_000_000  # a run is forgotten 30 days after its end, by default
FORGET_JOBS_PER_ENTRY: Final = 2000  # jobs forgotten at a time, or one run when it has more
WORKERS_MAX: Final = 20_000
LIST_PAGE_MAX: Final = 1000  # rows in one answer; `after` asks for the next page
RESULTS_WATCHED_MAX: Final = 8  # results told with a run's updates; who wants more asks for them

EDITS_PER_MUTATION_MAX: Final = 1000  # of one change of a run: checking them takes 20 ms
GRAPH_SEARCH_STEPS_MAX: Final = 250_000  # jobs and edges seen by one search for a cycle: 100 ms
REVISIONS_PER_RUN_MAX: Final = 200  # changes of a run that can be shown and undone
REVISION_BYTES_PER_RUN_MAX: Final = (
    256 * KIB
)  # a run whose large arguments change often keeps fewer
REVISION_BYTES_MAX: Final = 64 * MIB  # of all runs: those changed longest ago lose theirs first
REVISION_NAMES_MAX: Final = 20  # jobs that ran again and are named in a revision
# --- coordination --------------------------------------------------------------------------
EFFECTS_PER_COMMIT_MAX: Final = 1024  # one apply, all or nothing: a few milliseconds
PROGRESS_NOTE_BYTES_MAX: Final = 512  # one line for people
PROGRESS_INTERVAL_S: Final = 1.0  # between two progress reports of a task that enter the log
LOCKS_MAX: Final = 100_000  # held at once; a lock that nobody holds takes nothing
LOCK_SLOTS_MAX: Final = 4096  # holders of one semaphore
LOCK_WAITERS_MAX: Final = 4096  # in one queue; whoever comes later is told so
CLAIMS_MAX: Final = 200_000  # holders and waiters of all locks
LOCK_DATA_BYTES_MAX: Final = 4 * KIB  # what a holder shows: an address, a name
LOCK_WAIT_MS: Final = 30_000  # a place in a queue is kept so long unless it is asked for again
SIGNAL_BYTES_MAX: Final = 64 * KIB  # larger payloads are files; send their digest
SIGNALS_PER_MAILBOX_MAX: Final = 1024  # unread ones of one job, or of a run itself
MAILBOX_BYTES_MAX: Final = 1 * MIB
MAIL_BYTES_MAX: Final = 64 * MIB  # unread payloads of all runs
KEY_CHANGES_KEPT: Final = 16_384  # on each master, for watchers that come back
KEY_CHANGES_BYTES_MAX: Final = 32 * MIB  # the same bound in values
# --- pools ---------------------------------------------------------------------------------
POOLS_MAX: Final = 256  # looked at twice a second by the leader
POOL_WORKERS_MAX: Final = 4096  # one master has as many connections
LAUNCHES_MAX: Final = 8192  # of all pools; each is looked at twice a second
LAUNCHES_PER_COMMAND_MAX: Final = 256  # asked for at once; keeps the answer quick
URL_CHARS_MAX: Final = 2048  # longer ones are cut by somebody on the way
SECRET_CHARS_MAX: Final = 512
LAUNCH_BACKOFF_MS: Final = 2_000  # after the first launch that failed; doubles
LAUNCH_BACKOFF_CAP_MS: Final = 300_000  # a provider that is down is asked every five minutes
EPHEMERAL_IDLE_MS: Final = 300_000  # of an ephemeral worker that nobody told otherwise
WEBHOOK_DEADLINE_S: Final = 30.0  # of all tries of one call; then the launch has failed
WEBHOOK_TRY_TIMEOUT_S: Final = 10.0  # of one try
WEBHOOK_ANSWER_BYTES_MAX: Final = 4 * KIB  # read and thrown away
PROVIDER_CALLS_MAX: Final = 64  # at once; the others wait their turn
LAUNCHED_KEPT_MAX: Final = (
    32  # folders of launched workers that have ended, for people to look into
)
LAUNCHED_AT_ONCE_MAX: Final = 64  # worker processes that one master starts on its machine
REHEARSALS_MAX: Final = 12  # changes tried for one `why`
REHEARSED_MAX: Final = (
    6_000  # jobs ahead and workers, of all tries: the leader waits 50 ms meanwhile
)
WHY_WORKERS_MAX: Final = 50  # named in one answer, the closest first
QUEUES_TOLD_MAX: Final = (
    16  # requirements named in one answer, the deepest first: each asks every worker
)
FLEET_WORKERS_MAX: Final = 4096  # whose load one answer tells; one master has as many connections
SATURATED_MS: Final = 1_000  # a queue must last so long before workers are started for it

# --- gates and saved pipelines -------------------------------------------------------------
APPROVERS_MAX: Final = 64  # distinct people whose approval one gate may want
INPUTS_MAX: Final = 256  # fields of a form, parameters of a pipeline: more is a file
GATE_HISTORY_MAX: Final = 64  # decisions kept of earlier rounds of a gate
PIPELINES_MAX: Final = 1000  # names of saved pipelines
PIPELINE_VERSIONS_MAX: Final = 100  # newest versions kept of each
PIPELINE_VERSION_MAX: Final = 2**31 - 1  # nobody saves that often
PIPELINES_BYTES_MAX: Final = 64 * MIB  # of all versions together: they live in memory
PIPELINE_JOBS_MAX: Final = 2000  # of a saved pipeline: one apply makes a run of it
SCHEDULES_MAX: Final = 5000
AUDIT_KEPT_PER_KIND: Final = (
    2000  # orders remembered for each kind of object: 12 MB for all of them
)
AUDIT_CHARS_MAX: Final = 256  # of an object's name and of a detail: what fits into a line
WHO_CHARS_MAX: Final = 128  # what a client says of itself
SCHEDULE_QUEUE_MAX: Final = 100  # firings that wait for the run before them; more are skipped
SCHEDULE_FIRINGS_KEPT: Final = 50  # what became of the newest ones
BACKFILL_SPAN_MS_MAX: Final = 31_622_400_000  # a year at a time
BACKFILLS_RUNNING_MAX: Final = 4  # runs of one backfill at once; the live schedule goes on beside
CATCHUP_FIRINGS_MAX: Final = 1000  # missed times that one schedule makes up for; older ones are not
SCHEDULE_LATE_MS: Final = 60_000  # later than this a firing was missed, as `catchup` sees it
SUBRUN_DEPTH_MAX: Final = 16  # ends a pipeline that runs itself
SUBRUNS_PER_RUN_MAX: Final = 10_000  # below one run, at any depth: ends one that runs itself twice
SUBRUN_JOBS_PER_ENTRY: Final = 2000  # jobs that sub-runs begun by one `AdvanceTime` may have

# --- workers -------------------------------------------------------------------------------
SLOTS_PER_WORKER_MAX: Final = 4096
PREFILL_PER_SLOT_MAX: Final = 16  # attempts waiting on the worker for each slot
PREFILL_PLENTY: Final = 6  # so many for each slot: results and what they free may wait for others
RESULTS_WAIT_S: Final = 0.01  # of a busy worker, for others to be told with
RESULTS_TOGETHER_MAX: Final = 64
LOG_BLANKS_MAX: Final = 64  # empty log files kept for the next attempts
LOG_FOLDERS_KNOWN_MAX: Final = 256  # folders of runs on a worker; an empty one that is older goes
LOG_SILENT_KNOWN_MAX: Final = 4096  # attempts that had no output, for readers that come just then
WORKSPACES_FREE_MAX: Final = 64  # untouched folders kept for the next attempts
WORKSPACE_KEPT_BYTES_MAX: Final = 4 * MIB  # of the bundle in such a folder: 256 MiB in all
WORKSPACE_WATCHED_MAX: Final = 256  # files looked at after each attempt: a third of a millisecond
LOGS_KEPT: Final = 50_000  # logs of ended attempts on a worker, by default
ENVIRONMENTS_MAX: Final = 16  # virtual environments kept by a worker; each may have gigabytes
IMAGES_REMEMBERED_MAX: Final = 1000  # names of images known to be on a worker
BUILD_LOG_BYTES_MAX: Final = 256 * KIB  # of a build in the log of each job that waits for it
TOOL_OUTPUT_BYTES_MAX: Final = 16 * KIB  # read of what a helper program printed: its last words
LOG_READ_BYTES: Final = 256 * KIB
LOG_LINES_WAITING_MAX: Final = 10_000  # of a master or worker whose own log nobody takes
ERROR_TEXT_BYTES_MAX: Final = 2 * KIB  # a reason kept in state
WATCHERS_PER_MASTER_MAX: Final = 10_000
BLOBS_FETCHED_AT_ONCE: Final = 4  # copies between masters share the disk with the journal

# --- services ------------------------------------------------------------------------------
SERVICE_STABLE_MS: Final = 10_000  # one that ran for so long did not fail quickly
CRASH_LOOP_FAILURES: Final = 5  # quick failures in a row after which people should look
SERVICE_LOSS_QUICK_MS: Final = 60_000  # a worker lost later was not killed by its service
SERVICES_DEPLOYED_MAX: Final = 10_000  # names that `titan services deploy` keeps track of
ROLLOUT_MS_MAX: Final = 86_400_000  # nobody waits longer for a new version to become healthy
PROBE_INTERVAL_MS_MIN: Final = 100  # more often would be load, not knowledge
PROBES_IN_A_ROW_MAX: Final = 1000
PROBE_ANSWER_BYTES_MAX: Final = 8 * KIB  # the status line of an HTTP answer is in it
HOST_CHARS_MAX: Final = 255  # what a name in the DNS may have
SERVICE_PORTS_FIRST: Final = 31_000  # below the ports that systems give to outgoing connections
SERVICE_PORTS_LAST: Final = 31_999
PORT_PATIENCE_S: Final = 10.0  # an attempt that is being killed still holds its port for a moment
# --- functions -----------------------------------------------------------------------------
CALL_VALUE_BYTES_MAX: Final = (
    48 * KIB
)  # arguments that fit into a job's spec; larger ones are blobs
CALL_BLOB_BYTES_MIN: Final = (
    1 * KIB
)  # an argument worth a blob of its own when others are too large
CALL_BLOB_BYTES_MAX: Final = OUTPUT_BLOB_BYTES_MAX  # one argument: it may be another call's result
CALL_BLOBS_MAX: Final = 64  # of the arguments of one call: their digests fit into a job's spec
CALL_BLOBS_BYTES_MAX: Final = 4 * GIB  # that one call is given: the worker keeps them while it runs
CALL_UPLOADS_AT_ONCE: Final = 8  # blobs of a submission: hides round trips, not disks
CALL_INPUTS_BYTES_MAX: Final = 512 * KIB  # results of parents that travel with one attempt
RESULTS_PAGE_BYTES: Final = 1 * MIB  # of outputs in one answer; the client asks for the rest
CALLS_PER_PROCESS_MAX: Final = 20_000  # then its process is replaced: slow leaks stay small
CALL_GROWTH_BYTES_MAX: Final = (
    256 * MIB
)  # by which a function's process may grow before it is replaced
CALL_PROCESS_IDLE_S: Final = 60.0  # an idle function process is kept warm so long
CALL_PROCESSES_IDLE_MAX: Final = 8  # idle ones of all bundles together; the longest idle goes
CALL_FRAME_BYTES_MAX: Final = 4 * MIB  # between the worker and a function's process

# --- disk ----------------------------------------------------------------------------------
DISK_RESERVE_BYTES: Final = 64 * MIB  # below it a master is read-only and says so
SEGMENT_BYTES: Final = (
    16 * MIB
)  # a segment goes when a snapshot covers all of it: twice the least log

# --- reading declarations -------------------------------------------------------------------
YAML_DEPTH_MAX: Final = 64  # nobody nests deeper by hand; bounds the reader's stack
YAML_NODES_MAX: Final = 2_000_000  # counted after aliases are followed: ends a billion laughs early
PROBLEMS_MAX: Final = 100  # listed at once; a longer list helps nobody
SUGGESTION_NAMES_MAX: Final = 5_000  # names compared when one is misspelt: keeps an error cheap
LARGEST_FILES_SHOWN: Final = 5  # in the error about a bundle that is too large

# --- clients --------------------------------------------------------------------------------
ENTRY_MARGIN_BYTES: Final = 16 * KIB  # room for the envelope around one client command in an entry
CLIENT_DEADLINE_S: Final = 30.0  # how long a call is retried through failovers by default
CLIENT_DISK_FULL_PATIENCE_S: Final = 3.0  # another master may have room; then people must act
CLIENT_ATTEMPT_TIMEOUT_S: Final = 5.0  # one try at one master, before another one is asked
CLIENT_BACKOFF_MS: Final = 20  # before the first retry; doubles
CLIENT_BACKOFF_CAP_MS: Final = 1_000  # an election is over well within this
STAGES_IN_FLIGHT_MAX: Final = 2  # parts of one submission on their way: one is applied, one travels
UPLOAD_BYTES_PER_S_MIN: Final = 256 * KIB  # a slower upload is given up and begun again

STAGE_JOBS_MAX: Final = 800  # sent by the SDK in one part: the leader answers others in between

# --- planning ------------------------------------------------------------------------------
INTAKE_PER_PLAN_MAX: Final = 1000  # jobs looked at by one `plan`: a few milliseconds
PREFILL_COVER_US: Final = 50_000  # work a worker holds beyond its slots: several round trips
DURATIONS_REMEMBERED_MAX: Final = 4096  # names of runs whose typical duration is known
POOLS_IDLE_MAX: Final = 256  # indexes kept for demands that no job has now
FORESEEN_MAX: Final = (
    8  # assignments proposed with the command that makes them possible; see foresight
)
FORESEEN_AMONG_MAX: Final = (
    64  # jobs looked at for that: who has more of them waits for no round trip
)
REFUSED_REST_MS: Final = 250  # a worker whose assignment was refused rests: no hot loop
RETRACTION_TIMEOUT_MS: Final = 1000  # no answer by then means that the attempt has started

# --- consensus -----------------------------------------------------------------------------
SEGMENT_PREALLOCATE_BYTES: Final = 8 * MIB  # grown in steps, so that small clusters stay small
APPEND_BATCH_ENTRIES: Final = 4096  # per message; a laggard is served in pieces, never all at once
PEER_WINDOW_BYTES: Final = 4 * MIB  # unacknowledged log or snapshot bytes on the way to one peer
APPLY_ROUND_S: Final = (
    0.01  # of applying a backlog at a stretch: a turn of the loop has several rounds
)
SNAPSHOT_STEP_BYTES: Final = (
    MIB  # of a state frozen in one turn of the loop: about 5 ms of usual jobs
)
SNAPSHOT_BLOCK_BYTES: Final = 4 * MIB  # one checksummed block of a snapshot file
SNAPSHOT_CHUNK_BYTES: Final = 256 * KIB  # one piece of a snapshot on its way to a laggard
SNAPSHOT_GENERATIONS: Final = 2  # the newest may turn out damaged
PEERS_MAX: Final = 8  # members of a cluster besides this one
LEARNER_LAG_ENTRIES: Final = 64  # a newcomer that lacks no more than this may count
READS_WAITING_MAX: Final = 65_536  # linearizable reads waiting for their round
DIGEST_EVERY_ENTRIES: Final = 1024  # how often members compare their states
DIGESTS_KEPT: Final = 16  # how far apart members may be and still compare
RETRACTIONS_MAX: Final = 256  # unanswered requests to give attempts back; each costs a look
PEER_UNSENT_BYTES: Final = 16 * MIB  # towards a peer that reads too slowly; more is not queued

# --- HTTP ----------------------------------------------------------------------------------
HTTP_BODY_BYTES_MAX: Final = 16 * MIB  # a declaration with its scripts; data is uploaded as a blob
STREAMS_PER_MASTER_MAX: Final = 1000  # live pages and followers
FEED_ENTRIES_KEPT: Final = (
    8192  # applied entries whose changes a reconnecting page may still ask for
)
FEED_IDS_KEPT: Final = 262_144  # the same bound in names of what changed: tens of megabytes
# --- files ---------------------------------------------------------------------------------
MANIFEST_FILES_MAX: Final = 256  # listed in the state; a larger set has its listing in a blob
MANIFEST_BYTES_MAX: Final = 32 * KIB  # of the same: far below an entry, with what travels beside it
ARTIFACT_PATTERNS_MAX: Final = 64  # of one job, each way
ARTIFACT_FILES_MAX: Final = 100_000  # of one job; more belong in an archive
ARTIFACT_KEYS_MAX: Final = 100_000  # a runaway loop over fresh keys meets an answer
ARTIFACT_KEY_BYTES_MAX: Final = 512
BLOB_LEASE_MS: Final = (
    3_600_000  # what was uploaded, or told to be there, stays an hour unreferenced
)
BLOB_LEASE_MS_MIN: Final = 300_000  # a client may need some minutes between upload and submission
CHECKPOINT_KEEP_MS: Final = 3_600_000  # after its job has ended, in case it is run again
LOG_INLINE_BYTES_MAX: Final = 4 * KIB  # of a finished log that travels with the result
LOG_TAIL_BYTES_MAX: Final = 4 * MIB  # such logs in the state, until the leader has packed them
LOG_TAIL_PACK_BYTES: Final = 512 * KIB  # enough for a pack to pay: thousands of small logs
LOG_TAIL_ENTRY_BYTES: Final = 160  # what a log costs in the tail besides its text
LOG_PACK_ATTEMPTS_MAX: Final = 4096  # whose logs are one blob: keeps the command far below an entry
BLOB_BLOCK_BYTES: Final = 1 * MIB  # read, checked and sent at a time
PARTIALS_MAX: Final = 256  # uploads that were cut off and may go on, per master
PARTIALS_IDLE_BYTES_MAX: Final = 16 * 1024 * MIB  # of those nobody sends to; the oldest go first
PARTIAL_AGE_S: Final = 3600.0  # since its last byte; then whoever comes begins anew
QUARANTINE_FILES_MAX: Final = 16  # damaged blobs kept for people to look at; the oldest go first
BLOB_STALL_S: Final = 30.0  # without a byte a transfer is given up, to be taken up again
BLOB_SWEEP_PERIOD_S: Final = 600.0  # how often files that nothing names are looked for
FETCH_SPAN_BYTES: Final = 32 * MIB  # fetched from one master before the next one is asked
MASTER_REST_S: Final = 5.0  # a master that failed a worker's transfer is not asked again so soon
OUTPUTS_TIMEOUT_S: Final = 600.0  # to upload what a job leaves, besides what its size takes
CHECKPOINT_PERIOD_S: Final = 5.0  # how often a worker looks whether a checkpoint has changed
CHECKPOINT_FILES_MAX: Final = 10_000
FINISHING_AT_ONCE: Final = 4  # attempts of a worker whose files are being uploaded
LOG_LINE_BYTES_MAX: Final = 256 * KIB  # a longer line is searched in pieces
LOG_INDICES_KEPT: Final = 256  # of packs that were read lately, per master
LOG_SHIP_BYTES: Final = 8 * MIB  # of logs that a worker sends as one blob; a larger one goes alone
LOG_SHIP_TRIES_MAX: Final = 100  # over more than an hour; then the log stays on the worker
LOGS_UNSHIPPED_MAX: Final = 20_000  # finished logs that wait on a worker
DRAFT_FILES_MAX: Final = 256  # beside a pipeline that a page sends; more is a project for the SDK
DRAFT_NAME_BYTES_MAX: Final = 200  # of one part of a path; every file system takes that
SOURCE_BYTES_MAX: Final = 4 * MIB  # files of a past run that a page loads back into its editor
OUTPUT_SHOWN_BYTES_MAX: Final = 256 * KIB  # of a job's output in a page; nobody reads more there
FACTS_PER_PUSH_MAX: Final = 500  # events told to a page at once; beyond it only the newest count
FACTS_PAGE_MAX: Final = 1000  # events in one answer
PULSE_BEATS_KEPT: Final = 180  # a quarter of an hour of five seconds each
PULSE_SAMPLES_MAX: Final = 200  # waits and commits looked at in one of them; quantiles need no more
