-- Column checksum: covers the columns before it; src/store/sqlite/checksum.rs computes it. The columns
-- after it change too often or matter too little to be covered.

-- A run: one execution of a workflow. Its arguments and its return value stay with the events that
-- carry them; the two positions name these events.
CREATE TABLE runs (
  run_id TEXT NOT NULL PRIMARY KEY,
  status TEXT NOT NULL CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
  deployment_id TEXT NOT NULL,
  workflow_name TEXT NOT NULL,
  spec_version INTEGER NOT NULL,
  execution_context TEXT,
  -- The master key from which the run's own key is derived; NULL if its values are not encrypted.
  encryption_key_id TEXT,
  -- JSON object; NULL if there are none.
  attributes TEXT,
  -- The key to which the SDK seals values for the run.
  encryption_public_key TEXT,
  -- The deployment id of the processes that continue it: its own, until another release adopts it.
  release_id TEXT NOT NULL,
  input_position INTEGER,
  output_position INTEGER,
  -- The error of spec versions up to 3; later ones keep theirs with its event.
  error TEXT,
  error_position INTEGER,
  error_code TEXT,
  created_at_ms INTEGER NOT NULL,
  updated_at_ms INTEGER NOT NULL,
  started_at_ms INTEGER,
  completed_at_ms INTEGER,
  -- When its values were dropped.
  expired_at_ms INTEGER CHECK (expired_at_ms IS NULL OR completed_at_ms IS NOT NULL),
  checksum INTEGER NOT NULL,
  -- The end of the log when the run's last replay was claimed: that replay has seen at least so much.
  replayed_position INTEGER NOT NULL DEFAULT 0,
  -- The only worker that has replayed the run; '' if there are several, NULL if there is none.
  replayed_by TEXT,
  CHECK ((status IN ('completed', 'failed', 'cancelled')) = (completed_at_ms IS NOT NULL))
) STRICT, WITHOUT ROWID;
-- runs.list by status, and by workflow and status; the search for forgotten runs.
CREATE INDEX runs_by_status ON runs (status, workflow_name, run_id);
-- runs.list by workflow. It omits the status, so a run that starts or ends changes only one index.
CREATE INDEX runs_by_workflow ON runs (workflow_name, run_id);
-- What still needs a release; adopting its runs, and cancelling them.
CREATE INDEX runs_open ON runs (release_id, spec_version, workflow_name, run_id)
  WHERE completed_at_ms IS NULL;

-- The log. It is clustered by run, so that a replay reads neighbouring pages.
CREATE TABLE events (
  run_id TEXT NOT NULL,
  position INTEGER NOT NULL CHECK (position > 0),
  event_type TEXT NOT NULL,
  correlation_id TEXT,
  created_at_ms INTEGER NOT NULL,
  spec_version INTEGER NOT NULL,
  data TEXT,
  -- On hook_received: the caller's name of the resume, and a digest of its payload.
  resume_id TEXT,
  resume_digest TEXT,
  -- 1: bytes of the SDK's serialiser; 2: JSON text.
  payload_format INTEGER CHECK (payload_format IN (1, 2)),
  -- Lets the rest of the row be checked without reading the payload.
  payload_checksum INTEGER,
  checksum INTEGER NOT NULL,
  -- A short payload, or the number of a long one in long_values.
  payload BLOB,
  payload_number INTEGER,
  PRIMARY KEY (run_id, position),
  CHECK (payload IS NULL OR payload_number IS NULL),
  CHECK ((payload_format IS NULL) = (payload IS NULL AND payload_number IS NULL)),
  CHECK ((payload_checksum IS NULL) = (payload_format IS NULL))
) STRICT, WITHOUT ROWID;
-- events.listByCorrelationId without a run. It holds only the events that create an entity, which name
-- the run, and changes of attributes. So a resume does not pay for this index.
CREATE INDEX events_opening_entities ON events (correlation_id, run_id)
  -- Not IN, because SQLite builds a table of its list at every insert.
  WHERE event_type = 'step_created' OR event_type = 'hook_created'
    OR event_type = 'hook_conflict' OR event_type = 'wait_created'
    OR event_type = 'attr_set';

-- A resume happens once. Those that steps make are found without their run.
CREATE UNIQUE INDEX events_by_resume ON events (resume_id, run_id) WHERE resume_id IS NOT NULL;

-- Payloads and chunks that are too long for their row. The row holds the number. They are appended
-- here; within the rows they would split the pages of a run or a stream again and again. Values that will
-- be dropped are here too, however short they are: src/store/sqlite/long_values.rs.
CREATE TABLE long_values (
  number INTEGER PRIMARY KEY,
  -- Zeros before a value that will be dropped, so that the value is in pages of its own.
  filler BLOB,
  bytes BLOB NOT NULL
) STRICT;

-- How often values were dropped, and how many of these drops are also erased from the log. One row.
CREATE TABLE erasures (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  asked INTEGER NOT NULL,
  done INTEGER NOT NULL
) STRICT;
INSERT INTO erasures VALUES (1, 0, 0);

-- Clustered in the order of creation, so that a list of a run's steps reads only its page.
CREATE TABLE steps (
  run_id TEXT NOT NULL,
  step_id TEXT NOT NULL,
  step_name TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('pending', 'running', 'completed', 'failed')),
  created_position INTEGER NOT NULL,
  output_position INTEGER,
  -- As in runs.
  error TEXT,
  error_position INTEGER,
  -- The message whose delivery executes the current attempt itself.
  owner_message_id INTEGER,
  attempt INTEGER NOT NULL,
  created_at_ms INTEGER NOT NULL,
  updated_at_ms INTEGER NOT NULL,
  started_at_ms INTEGER,
  completed_at_ms INTEGER,
  retry_after_ms INTEGER,
  spec_version INTEGER NOT NULL,
  checksum INTEGER NOT NULL,
  PRIMARY KEY (run_id, created_position)
) STRICT, WITHOUT ROWID;
-- A step of a run; steps.get without a run.
CREATE UNIQUE INDEX steps_by_id ON steps (step_id, run_id);
-- Whether a delivery of a run executes a step itself.
CREATE INDEX steps_owned ON steps (run_id, owner_message_id)
  WHERE status = 'running' AND owner_message_id IS NOT NULL;

-- Clustered by token, so that the look-up of a resume reads only one tree.
CREATE TABLE hooks (
  token TEXT NOT NULL,
  -- 0 while the hook lives and alone holds its token. Afterwards the hook's number, because another
  -- hook may take the token.
  disposal INTEGER NOT NULL DEFAULT 0 CHECK ((disposal = 0) = (disposed_at_ms IS NULL)),
  hook_number INTEGER NOT NULL,
  run_id TEXT NOT NULL,
  hook_id TEXT NOT NULL,
  -- NULL means production, which keeps the rows of a server short.
  environment TEXT,
  -- The event that carries the metadata.
  metadata_position INTEGER,
  created_at_ms INTEGER NOT NULL,
  disposed_at_ms INTEGER,
  spec_version INTEGER NOT NULL,
  is_webhook INTEGER NOT NULL CHECK (is_webhook IN (0, 1)),
  is_system INTEGER NOT NULL CHECK (is_system IN (0, 1)),
  -- Until then the hook keeps its token, also after the end of its run.
  retained_until_ms INTEGER,
  -- Whether the run has ended. The hook is over when the time of its retention is.
  outlives_run INTEGER NOT NULL CHECK (outlives_run IN (0, 1)),
  checksum INTEGER NOT NULL,
  PRIMARY KEY (token, disposal)
) STRICT, WITHOUT ROWID;
-- Finds hooks that are over, to delete.
CREATE INDEX hooks_over ON hooks (retained_until_ms) WHERE outlives_run = 1;
-- hooks.list: the live hooks, in the order of creation.
CREATE UNIQUE INDEX hooks_by_number ON hooks (disposal, hook_number);
-- hooks.list of a run; the end of a run.
CREATE INDEX hooks_by_run ON hooks (run_id, disposal, hook_number);
-- A hook of a run; hooks.get.
CREATE UNIQUE INDEX hooks_by_id ON hooks (hook_id, run_id);

-- The number of the last hook. A number is never used twice, even after its hook is deleted, because a
-- reader's cursor holds it. One row.
CREATE TABLE hook_numbers (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  last_number INTEGER NOT NULL
) STRICT;
INSERT INTO hook_numbers VALUES (1, 0);

-- Resumes that had an idempotency key. The table holds digests of token, key and payload instead of the
-- values. Rows outlive hook and run, for as long as a sender may repeat a resume.
CREATE TABLE resume_keys (
  key_digest TEXT NOT NULL PRIMARY KEY,
  run_id TEXT NOT NULL,
  hook_id TEXT NOT NULL,
  payload_digest TEXT NOT NULL,
  expires_at_ms INTEGER NOT NULL,
  checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Finds expired keys to delete.
CREATE INDEX resume_keys_by_expiry ON resume_keys (expires_at_ms);

CREATE TABLE waits (
  run_id TEXT NOT NULL,
  correlation_id TEXT NOT NULL,
  resume_at_ms INTEGER NOT NULL,
  completed_at_ms INTEGER,
  created_at_ms INTEGER NOT NULL,
  updated_at_ms INTEGER NOT NULL,
  spec_version INTEGER NOT NULL,
  checksum INTEGER NOT NULL,
  PRIMARY KEY (run_id, correlation_id)
) STRICT, WITHOUT ROWID;
-- The open waits of a run, the next first.
CREATE INDEX waits_open ON waits (run_id, resume_at_ms) WHERE completed_at_ms IS NULL;

-- The queue. The id grows with time, so that a new message is appended at the end.
CREATE TABLE messages (
  message_id INTEGER PRIMARY KEY,
  queue_name TEXT NOT NULL,
  -- Its run; NULL for health checks.
  run_id TEXT,
  -- The step that it executes. A message of a run without a step replays the run.
  step_id TEXT,
  -- What the process that takes it must offer: src/domain/queue/offer.rs. Empty: any release.
  deployment_id TEXT NOT NULL,
  -- Of its run. 0: not known.
  spec_version INTEGER NOT NULL,
  -- 1: the message replays the run and carries nothing else, so pending ones coalesce.
  is_wake_up INTEGER NOT NULL CHECK (is_wake_up IN (0, 1)),
  -- As in long_values.
  filler BLOB,
  body BLOB NOT NULL,
  headers TEXT,
  idempotency_key TEXT,
  created_at_ms INTEGER NOT NULL,
  checksum INTEGER NOT NULL,
  available_at_ms INTEGER NOT NULL,
  attempt INTEGER NOT NULL DEFAULT 0,
  lease_owner TEXT,
  lease_token TEXT,
  lease_expires_at_ms INTEGER,
  -- The token of a lease that ended without an ack, until the message is claimed again.
  freed_lease_token TEXT,
  -- Whether the delivery of this lease was admitted over HTTP. Each lease is admitted once.
  admitted INTEGER NOT NULL DEFAULT 0 CHECK (admitted IN (0, 1)),
  -- The end of its run's log when it was claimed.
  claimed_position INTEGER NOT NULL DEFAULT 0,
  last_error TEXT,
  dead_at_ms INTEGER,
  -- The workers that do not have the code which the message needs, with spaces between them.
  refused_by TEXT,
  -- Set while no living worker has that code.
  held_at_ms INTEGER,
  CHECK ((lease_owner IS NULL) = (lease_token IS NULL)),
  CHECK ((lease_owner IS NULL) = (lease_expires_at_ms IS NULL)),
  CHECK (lease_owner IS NULL OR (dead_at_ms IS NULL AND held_at_ms IS NULL)),
  CHECK (held_at_ms IS NULL OR (dead_at_ms IS NULL AND refused_by IS NOT NULL)),
  CHECK (step_id IS NULL OR run_id IS NOT NULL),
  CHECK (is_wake_up = 0 OR (run_id IS NOT NULL AND step_id IS NULL))
) STRICT;
-- claim: what needs the same by itself, so that a claim does not read messages that it may not take.
CREATE INDEX messages_due
  ON messages (queue_name, deployment_id, spec_version, available_at_ms, message_id)
  WHERE lease_token IS NULL AND dead_at_ms IS NULL AND held_at_ms IS NULL;
-- At most one leased replay of a run of line 4.
CREATE UNIQUE INDEX messages_one_replay ON messages (run_id)
  WHERE lease_token IS NOT NULL AND run_id IS NOT NULL AND step_id IS NULL AND spec_version < 6;
-- claim: the deliveries of a run of line 5, which may overlap.
CREATE INDEX messages_overlapping ON messages (run_id)
  WHERE lease_token IS NOT NULL AND run_id IS NOT NULL AND spec_version >= 6;
-- Coalescing, the end of a run, the search for forgotten runs.
CREATE INDEX messages_by_run ON messages (run_id, step_id) WHERE run_id IS NOT NULL;
-- While the first message with a key is queued, a second one with that key is the first one.
CREATE UNIQUE INDEX messages_by_idempotency_key ON messages (idempotency_key)
  WHERE idempotency_key IS NOT NULL AND dead_at_ms IS NULL;
-- Expired leases, and leases of dead owners.
CREATE INDEX messages_leased ON messages (lease_expires_at_ms) WHERE lease_token IS NOT NULL;
-- The list of dead messages.
CREATE INDEX messages_dead ON messages (message_id) WHERE dead_at_ms IS NOT NULL;
-- The list of held messages.
CREATE INDEX messages_held ON messages (message_id) WHERE held_at_ms IS NOT NULL;
-- Messages that wait for a worker which has not refused them.
CREATE INDEX messages_passed_on ON messages (message_id)
  WHERE refused_by IS NOT NULL AND held_at_ms IS NULL;

-- The queue's time: the latest time that any process on the database has seen. It never goes back, even
-- if the host's clock does. One row.
CREATE TABLE queue_time (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  reached_ms INTEGER NOT NULL
) STRICT;
INSERT INTO queue_time VALUES (1, 0);

-- The prefix of the queue names of runs. A wake-up from any process must get a queue name that the
-- workers serve. One row, written by the process that opens the database first.
CREATE TABLE queue_names (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  workflow_prefix TEXT NOT NULL,
  checksum INTEGER NOT NULL
) STRICT;

-- Proves over HTTP that a process has this database. The secret itself is never sent. One row, written
-- by the process that opens the database first.
CREATE TABLE delivery_secret (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  secret BLOB NOT NULL CHECK (length(secret) = 32)
) STRICT;

-- The deployment ids that are releases: a process has had this id, or a process that has one has started
-- a run for it. Any other id of a run is no release.
CREATE TABLE releases (
  release_id TEXT NOT NULL PRIMARY KEY,
  first_seen_ms INTEGER NOT NULL,
  -- Set while it is gone, as a person has said: nothing more is sent to it.
  gone_at_ms INTEGER
) STRICT, WITHOUT ROWID;

-- Streams do not depend on runs: a health check writes one under a run id that never existed.
CREATE TABLE streams (
  stream_number INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  run_id TEXT NOT NULL,
  chunk_count INTEGER NOT NULL DEFAULT 0,
  created_at_ms INTEGER NOT NULL,
  closed_at_ms INTEGER,
  -- 1: its chunks are dropped when the run ends.
  drops_chunks INTEGER NOT NULL CHECK (drops_chunks IN (0, 1)),
  checksum INTEGER NOT NULL
) STRICT;
-- listStreamsByRunId.
CREATE INDEX streams_by_run ON streams (run_id);

CREATE TABLE chunks (
  stream_number INTEGER NOT NULL,
  chunk_index INTEGER NOT NULL,
  -- A short chunk, or the number of a long one in long_values.
  bytes BLOB,
  bytes_number INTEGER,
  -- Also covers the chunk, wherever it is stored.
  checksum INTEGER NOT NULL,
  PRIMARY KEY (stream_number, chunk_index),
  CHECK ((bytes IS NULL) = (bytes_number IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- The master keys that sealed this database, and for each the key of its tokens.
CREATE TABLE encryption_keys (
  key_id TEXT NOT NULL PRIMARY KEY,
  sealed_token_key BLOB NOT NULL,
  created_at_ms INTEGER NOT NULL,
  checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Where the database was moved to: hookline move. One row, only if it was.
CREATE TABLE moved (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  place TEXT NOT NULL,
  moved_at_ms INTEGER NOT NULL
) STRICT;
