-- The tables of migrations/sqlite/0001_initial.sql, which says what they mean; what differs is said
-- here. The engine replaces "hookline." by the name of the schema.
--
-- Keys are COLLATE "C": bytes decide their order, as in SQLite, and no new C library breaks an index.
--
-- The tables that every resume writes, events and messages, have none of SQLite's checks: the server
-- parses each check anew for each statement, which was a tenth of what a resume costs it.

CREATE TABLE hookline.runs (
  run_id text COLLATE "C" NOT NULL PRIMARY KEY,
  status text COLLATE "C" NOT NULL
    CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
  deployment_id text COLLATE "C" NOT NULL,
  release_id text COLLATE "C" NOT NULL,
  workflow_name text COLLATE "C" NOT NULL,
  spec_version bigint NOT NULL,
  execution_context text,
  encryption_key_id text,
  attributes text,
  encryption_public_key text,
  input_position bigint,
  output_position bigint,
  error text,
  error_position bigint,
  error_code text,
  created_at_ms bigint NOT NULL,
  updated_at_ms bigint NOT NULL,
  started_at_ms bigint,
  completed_at_ms bigint,
  expired_at_ms bigint CHECK (expired_at_ms IS NULL OR completed_at_ms IS NOT NULL),
  CHECK ((status IN ('completed', 'failed', 'cancelled')) = (completed_at_ms IS NOT NULL))
) WITH (fillfactor = 90);
CREATE INDEX runs_by_status ON hookline.runs (status, workflow_name, run_id);
CREATE INDEX runs_by_workflow ON hookline.runs (workflow_name, run_id);
CREATE INDEX runs_open ON hookline.runs (release_id, spec_version, workflow_name, run_id)
  WHERE completed_at_ms IS NULL;

-- What the replays of a run have seen. Apart from the run: a claim holds messages, and must not wait
-- for a run that somebody else holds.
CREATE TABLE hookline.replays (
  run_id text COLLATE "C" NOT NULL PRIMARY KEY,
  replayed_position bigint NOT NULL,
  -- The only worker that has replayed the run; '' if there are several.
  replayed_by text NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE hookline.events (
  run_id text COLLATE "C" NOT NULL,
  position bigint NOT NULL,
  event_type text COLLATE "C" NOT NULL,
  correlation_id text COLLATE "C",
  created_at_ms bigint NOT NULL,
  spec_version bigint NOT NULL,
  data text,
  resume_id text COLLATE "C",
  resume_digest text,
  payload_format smallint,
  payload bytea,
  -- Drawn by a process for an event that is alone in its transaction. If the answer of the server is
  -- lost, the process looks whether the event is there.
  write_id bigint,
  PRIMARY KEY (run_id, position)
);
CREATE INDEX events_opening_entities ON hookline.events (correlation_id, run_id)
  WHERE event_type IN ('step_created', 'hook_created', 'hook_conflict', 'wait_created', 'attr_set');
CREATE INDEX events_by_write ON hookline.events (write_id) WHERE write_id IS NOT NULL;
CREATE UNIQUE INDEX events_by_resume ON hookline.events (resume_id, run_id)
  WHERE resume_id IS NOT NULL;

CREATE TABLE hookline.steps (
  run_id text COLLATE "C" NOT NULL,
  step_id text COLLATE "C" NOT NULL,
  step_name text NOT NULL,
  status text COLLATE "C" NOT NULL
    CHECK (status IN ('pending', 'running', 'completed', 'failed')),
  created_position bigint NOT NULL,
  output_position bigint,
  error text,
  error_position bigint,
  owner_message_id bigint,
  attempt bigint NOT NULL,
  created_at_ms bigint NOT NULL,
  updated_at_ms bigint NOT NULL,
  started_at_ms bigint,
  completed_at_ms bigint,
  retry_after_ms bigint,
  spec_version bigint NOT NULL,
  PRIMARY KEY (run_id, created_position)
) WITH (fillfactor = 90);
CREATE UNIQUE INDEX steps_by_id ON hookline.steps (step_id, run_id);
CREATE INDEX steps_owned ON hookline.steps (run_id, owner_message_id)
  WHERE status = 'running' AND owner_message_id IS NOT NULL;

CREATE TABLE hookline.hooks (
  hook_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  run_id text COLLATE "C" NOT NULL,
  hook_id text COLLATE "C" NOT NULL,
  -- UTF-8. Not text, because a token may hold a NUL.
  token bytea NOT NULL,
  -- SHA-256 of the token: an index holds no value of more than 2,704 bytes.
  token_digest bytea NOT NULL,
  environment text,
  metadata_position bigint,
  created_at_ms bigint NOT NULL,
  disposed_at_ms bigint,
  spec_version bigint NOT NULL,
  is_webhook boolean NOT NULL,
  is_system boolean NOT NULL,
  -- Until then the hook keeps its token, also after the end of its run.
  retained_until_ms bigint,
  -- Whether the run has ended. The hook is over when the time of its retention is.
  outlives_run boolean NOT NULL
);
-- Finds hooks that are over, to delete.
CREATE INDEX hooks_over ON hookline.hooks (retained_until_ms) WHERE outlives_run;
-- A token names at most one live hook.
CREATE UNIQUE INDEX hooks_live_token ON hookline.hooks (token_digest) WHERE disposed_at_ms IS NULL;
CREATE UNIQUE INDEX hooks_by_id ON hookline.hooks (hook_id, run_id);
CREATE INDEX hooks_by_run ON hookline.hooks (run_id, hook_number);

CREATE TABLE hookline.resume_keys (
  key_digest text COLLATE "C" NOT NULL PRIMARY KEY,
  run_id text COLLATE "C" NOT NULL,
  hook_id text COLLATE "C" NOT NULL,
  payload_digest text NOT NULL,
  expires_at_ms bigint NOT NULL
);
CREATE INDEX resume_keys_by_expiry ON hookline.resume_keys (expires_at_ms);

CREATE TABLE hookline.waits (
  run_id text COLLATE "C" NOT NULL,
  correlation_id text COLLATE "C" NOT NULL,
  resume_at_ms bigint NOT NULL,
  completed_at_ms bigint,
  created_at_ms bigint NOT NULL,
  updated_at_ms bigint NOT NULL,
  spec_version bigint NOT NULL,
  PRIMARY KEY (run_id, correlation_id)
);
CREATE INDEX waits_open ON hookline.waits (run_id, resume_at_ms) WHERE completed_at_ms IS NULL;

-- Numbers that tell messages of one millisecond apart. Each process takes a block of 256.
CREATE SEQUENCE hookline.message_numbers
  AS bigint INCREMENT BY 256 MINVALUE 0 MAXVALUE 1048320 START WITH 0 CYCLE;

-- The queue. The id is the queue's time, then a number of message_numbers.
CREATE TABLE hookline.messages (
  message_id bigint NOT NULL PRIMARY KEY,
  queue_name text COLLATE "C" NOT NULL,
  run_id text COLLATE "C",
  step_id text COLLATE "C",
  deployment_id text COLLATE "C" NOT NULL,
  spec_version bigint NOT NULL,
  is_wake_up boolean NOT NULL,
  body bytea NOT NULL,
  headers text,
  idempotency_key text COLLATE "C",
  created_at_ms bigint NOT NULL,
  available_at_ms bigint NOT NULL,
  attempt bigint NOT NULL DEFAULT 0,
  lease_owner text COLLATE "C",
  lease_token text COLLATE "C",
  lease_expires_at_ms bigint,
  claimed_position bigint NOT NULL DEFAULT 0,
  freed_lease_token text COLLATE "C",
  admitted boolean NOT NULL DEFAULT false,
  last_error text,
  dead_at_ms bigint,
  refused_by text,
  held_at_ms bigint
) WITH (
  fillfactor = 70,
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 5000,
  autovacuum_vacuum_cost_delay = 0,
  vacuum_truncate = off,
  -- A queue is mostly empty when it is analysed, and such statistics make bad plans.
  autovacuum_analyze_threshold = 2000000000
);
CREATE INDEX messages_due
  ON hookline.messages (queue_name, deployment_id, spec_version, available_at_ms, message_id)
  WHERE lease_token IS NULL AND dead_at_ms IS NULL AND held_at_ms IS NULL;
CREATE UNIQUE INDEX messages_one_replay ON hookline.messages (run_id)
  WHERE lease_token IS NOT NULL AND run_id IS NOT NULL AND step_id IS NULL AND spec_version < 6;
CREATE INDEX messages_by_run ON hookline.messages (run_id, step_id) WHERE run_id IS NOT NULL;
CREATE UNIQUE INDEX messages_by_idempotency_key ON hookline.messages (idempotency_key)
  WHERE idempotency_key IS NOT NULL AND dead_at_ms IS NULL;
CREATE INDEX messages_leased ON hookline.messages (lease_expires_at_ms)
  WHERE lease_token IS NOT NULL;
CREATE INDEX messages_dead ON hookline.messages (message_id) WHERE dead_at_ms IS NOT NULL;
CREATE INDEX messages_held ON hookline.messages (message_id) WHERE held_at_ms IS NOT NULL;
CREATE INDEX messages_passed_on ON hookline.messages (message_id)
  WHERE refused_by IS NOT NULL AND held_at_ms IS NULL;

CREATE TABLE hookline.queue_time (
  only_row integer PRIMARY KEY CHECK (only_row = 1),
  reached_ms bigint NOT NULL
);
INSERT INTO hookline.queue_time VALUES (1, 0);

CREATE TABLE hookline.queue_names (
  only_row integer PRIMARY KEY CHECK (only_row = 1),
  workflow_prefix text NOT NULL
);

CREATE TABLE hookline.delivery_secret (
  only_row integer PRIMARY KEY CHECK (only_row = 1),
  secret bytea NOT NULL CHECK (length(secret) = 32)
);

CREATE TABLE hookline.releases (
  release_id text COLLATE "C" NOT NULL PRIMARY KEY,
  first_seen_ms bigint NOT NULL,
  gone_at_ms bigint
);

-- What the function start writes into a run where its caller says nothing: as the worker that began
-- last.
CREATE TABLE hookline.start_defaults (
  only_row integer PRIMARY KEY CHECK (only_row = 1),
  deployment_id text NOT NULL,
  spec_version bigint NOT NULL
);

-- The number of chunks is that of the last one; a counter would be updated with each.
CREATE TABLE hookline.streams (
  stream_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text COLLATE "C" NOT NULL UNIQUE,
  run_id text COLLATE "C" NOT NULL,
  created_at_ms bigint NOT NULL,
  closed_at_ms bigint
);
CREATE INDEX streams_by_run ON hookline.streams (run_id);

CREATE TABLE hookline.chunks (
  stream_number bigint NOT NULL,
  chunk_index bigint NOT NULL,
  bytes bytea NOT NULL,
  PRIMARY KEY (stream_number, chunk_index)
);

CREATE TABLE hookline.encryption_keys (
  key_id text COLLATE "C" NOT NULL PRIMARY KEY,
  sealed_token_key bytea NOT NULL,
  created_at_ms bigint NOT NULL
);

-- The workers. Each holds an advisory lock on its number for as long as its session lives, if it has one.
CREATE TABLE hookline.owners (
  owner_number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  lease_owner text COLLATE "C" NOT NULL UNIQUE,
  started_at_ms bigint NOT NULL,
  -- When the server had started on which the worker took its lock. NULL for one behind a pooler, which
  -- has no session, and no lock.
  locked_on text,
  -- When the worker last said that it lives; without a lock it repeats that.
  seen_at_ms bigint NOT NULL,
  -- Set by the worker itself. Without it, a lock that is free may only mean a broken session.
  ended_at_ms bigint,
  report text
);
