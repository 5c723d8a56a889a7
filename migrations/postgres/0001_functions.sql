-- The functions that users call in their own transactions, and what a process of ours calls for a resume
-- that is alone in its transaction. They do what the rules of src/domain do for a resume and for a start;
-- a test runs both and compares the rows.
--
-- Those for users run with the rights of the owner of the schema, so that a caller needs none on the
-- tables. Their search path ends with pg_temp: where it is not named, temporary types of the caller come
-- first. The others have the rights and the search path of their caller.

-- The time by which everything happens. It has no settings, so it becomes a part of the statement that
-- calls it.
CREATE FUNCTION hookline.now_ms() RETURNS bigint
LANGUAGE sql VOLATILE AS $$
  SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint
$$;

-- JSON as the serialisers of the SDK write it: "devl", and the flat array of devalue. The root is the
-- first value, and the parts of objects and arrays are numbers of values.
CREATE FUNCTION hookline.devalue(value jsonb) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_values jsonb[] := ARRAY[value];
  v_count integer := 1;
  v_at integer := 1;
  -- The values come level by level; this is the last one of the present level.
  v_level_end integer := 1;
  v_depth integer := 1;
  v_out text[] := '{}';
  -- The loops get this one value; all of them would be copied for each loop.
  v_value jsonb;
  v_parts text[];
  v_key text;
  v_part jsonb;
BEGIN
  WHILE v_at <= v_count LOOP
    IF v_at > v_level_end THEN
      v_level_end := v_count;
      v_depth := v_depth + 1;
      IF v_depth > 1000 THEN
        RAISE EXCEPTION 'a value may be nested 1000 levels deep at most, or no process could read it'
          USING ERRCODE = 'HL422';
      END IF;
    END IF;
    v_value := v_values[v_at];
    CASE jsonb_typeof(v_value)
    WHEN 'object' THEN
      v_parts := '{}';
      FOR v_key, v_part IN SELECT o.key, o.value FROM jsonb_each(v_value) AS o LOOP
        IF v_key = '__proto__' THEN
          RAISE EXCEPTION 'the SDK serialises no object with the key "__proto__"'
            USING ERRCODE = 'HL422';
        END IF;
        v_values[v_count + 1] := v_part;
        v_parts := v_parts || (to_json(v_key)::text || ':' || v_count);
        v_count := v_count + 1;
      END LOOP;
      v_out[v_at] := '{' || array_to_string(v_parts, ',') || '}';
    WHEN 'array' THEN
      v_parts := '{}';
      FOR v_part IN SELECT a.value FROM jsonb_array_elements(v_value) AS a LOOP
        v_values[v_count + 1] := v_part;
        v_parts := v_parts || v_count::text;
        v_count := v_count + 1;
      END LOOP;
      v_out[v_at] := '[' || array_to_string(v_parts, ',') || ']';
    ELSE
      v_out[v_at] := v_value::text;
    END CASE;
    v_at := v_at + 1;
  END LOOP;
  RETURN convert_to('devl[' || array_to_string(v_out, ',') || ']', 'UTF8');
END $$;

-- The id of a new run: a ULID, which is 48 bits of time and 80 random bits. A random UUID has fixed
-- bits in its 7th and its 9th byte, which are left out.
CREATE FUNCTION hookline.fresh_run_id(now_ms bigint) RETURNS text
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
  SELECT 'wrun_' || string_agg(
      substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', (p.bits >> s & 31)::integer + 1, 1), ''
      ORDER BY p.place, s DESC)
    FROM (SELECT uuid_send(gen_random_uuid()) AS bytes) AS u
    CROSS JOIN LATERAL (VALUES
      (1, now_ms, 45),
      (2, ('x' || encode(substr(u.bytes, 1, 5), 'hex'))::bit(40)::bigint, 35),
      (3, ('x' || encode(substr(u.bytes, 10, 5), 'hex'))::bit(40)::bigint, 35)
    ) AS p (place, bits, highest)
    CROSS JOIN LATERAL generate_series(p.highest, 0, -5) AS s
$$;

-- Refuses a database whose values are encrypted: a value that SQL writes would be plain, and the tokens
-- may be sealed.
CREATE FUNCTION hookline.refuse_if_encrypted() RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM hookline.encryption_keys) THEN
    RAISE EXCEPTION 'this database is used with encryption keys, which SQL does not have'
      USING ERRCODE = 'HL501', HINT = 'Use resumeHook() or start() of the app.';
  END IF;
END $$;

-- Refuses what only processes of a release that is gone could continue.
CREATE FUNCTION hookline.refuse_if_gone(release text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  IF release <> 'dpl_hookline' AND EXISTS (SELECT 1 FROM hookline.releases AS r
      WHERE r.release_id = release AND r.gone_at_ms IS NOT NULL) THEN
    RAISE EXCEPTION 'release "%" is gone, as a person has said', release
      USING ERRCODE = 'HL410', HINT = 'Start it again, or give its runs to another release.';
  END IF;
END $$;

-- Begins the names of the queues of workflows.
CREATE FUNCTION hookline.workflow_prefix() RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_prefix text;
BEGIN
  SELECT q.workflow_prefix INTO v_prefix FROM hookline.queue_names AS q;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no app has used this database yet'
      USING ERRCODE = 'HL503', HINT = 'Start the app first.';
  END IF;
  RETURN v_prefix;
END $$;

-- Wakes a run, unless a message that waits will wake it; the caller holds the run. The queue's time is at
-- least the given one. A process may have a number for a message, which keeps the order of those that it
-- writes in one millisecond. Returns the time, and the message.
CREATE FUNCTION hookline.wake(
  run_id text,
  workflow_name text,
  execution_context text,
  release_id text,
  spec_version bigint,
  workflow_prefix text,
  now_ms bigint,
  message_number bigint,
  INOUT queue_ms bigint,
  OUT message_id bigint
) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  v_queue text := workflow_prefix || workflow_name;
  v_trace text;
BEGIN
  -- The id of a message begins with its time. Only newer ones are looked at: the last entries of the
  -- index may be many, of messages that are gone. The lock keeps a claim from taking a message that has
  -- absorbed this wake-up.
  SELECT q.now_ms, w.message_id INTO wake.queue_ms, wake.message_id
    FROM (SELECT greatest(wake.now_ms, wake.queue_ms, t.reached_ms, (SELECT m.created_at_ms
        FROM hookline.messages AS m
        WHERE m.message_id >= greatest(wake.now_ms, wake.queue_ms) << 20
        ORDER BY m.message_id DESC LIMIT 1)) AS now_ms
      FROM hookline.queue_time AS t WHERE t.only_row = 1 OFFSET 0) AS q
    LEFT JOIN LATERAL (SELECT m.message_id FROM hookline.messages AS m
      WHERE m.run_id = wake.run_id AND m.step_id IS NULL AND m.queue_name = v_queue
        AND m.lease_expires_at_ms IS NULL AND m.dead_at_ms IS NULL
        AND (m.held_at_ms IS NOT NULL OR (m.available_at_ms <= q.now_ms
          AND NOT (wake.spec_version >= 6 AND m.attempt > 0)))
      ORDER BY m.message_id + 0 LIMIT 1 FOR UPDATE) AS w ON true;
  IF message_id IS NOT NULL THEN
    RETURN;
  END IF;
  -- The type json keeps the text of a value. It refuses an escaped NUL anywhere.
  IF position(chr(92) || 'u0000' IN execution_context) = 0 THEN
    v_trace := execution_context::json -> 'traceCarrier';
  END IF;
  LOOP
    INSERT INTO hookline.messages AS m (message_id, queue_name, run_id, deployment_id, spec_version,
        is_wake_up, body, created_at_ms, available_at_ms)
      VALUES ((wake.queue_ms << 20)
          | coalesce(message_number, nextval('hookline.message_numbers')), v_queue, wake.run_id,
        wake.release_id, wake.spec_version, true,
        convert_to('{"runId":' || to_json(wake.run_id)::text
          || coalesce(',"traceCarrier":' || nullif(v_trace, 'null'), '') || '}', 'UTF8'),
        wake.queue_ms, wake.queue_ms)
      ON CONFLICT (message_id) DO NOTHING RETURNING m.message_id INTO wake.message_id;
    EXIT WHEN FOUND;
    message_number := NULL;
  END LOOP;
END $$;

-- The run of an earlier resume with this key; NULL if there was none within its window.
CREATE FUNCTION hookline.earlier_resume(key_digest text, payload_digest text, now_ms bigint)
RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_earlier record;
BEGIN
  SELECT k.run_id, k.payload_digest INTO v_earlier FROM hookline.resume_keys AS k
    WHERE k.key_digest = earlier_resume.key_digest AND k.expires_at_ms + 0 > now_ms;
  IF v_earlier.payload_digest <> payload_digest THEN
    RAISE EXCEPTION 'this idempotency key has been used for another payload'
      USING ERRCODE = 'HL409', HINT = 'Use a fresh key for it.';
  END IF;
  RETURN v_earlier.run_id;
END $$;

-- Sends a payload to a hook and wakes its run. The outcome is one of these words:
--
-- done      The event is in the log at this position.
-- repeated  A resume of the run "run_id" has had the key already.
-- missing   The hook is gone, or the run has ended, or another transaction holds the run and the caller
--           does not wait for it.
-- changed   The caller's snapshot is older than the lock.
-- foreign   The run is of a version of the SDK that has other rules.
--
-- "token" is NULL where the hook alone is to be named. "key_digest" is NULL for a resume without a key.
-- Without "now_ms" it is the time of the server.
CREATE FUNCTION hookline.receive(
  INOUT run_id text,
  hook_id text,
  token bytea,
  spec_version bigint,
  data text,
  payload_format smallint,
  payload bytea,
  key_digest text,
  payload_digest text,
  window_ms bigint,
  workflow_prefix text,
  message_number bigint,
  waits boolean,
  INOUT now_ms bigint,
  INOUT queue_ms bigint,
  write_id bigint,
  OUT outcome text,
  OUT "position" bigint,
  OUT created_at_ms bigint,
  OUT message_id bigint,
  OUT run_spec_version bigint
) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  v_workflow_name text;
  v_execution_context text;
  v_release_id text;
  v_is_gone boolean;
  v_is_found boolean;
  v_earlier text;
BEGIN
  IF waits THEN
    -- What follows sees what the last holder of the run has left.
    PERFORM FROM hookline.runs AS r WHERE r.run_id = receive.run_id FOR NO KEY UPDATE;
  END IF;
  now_ms := coalesce(now_ms, hookline.now_ms());
  SELECT r.spec_version, r.workflow_name, r.execution_context, r.release_id,
      CASE WHEN r.release_id <> 'dpl_hookline' THEN (SELECT g.gone_at_ms IS NOT NULL
        FROM hookline.releases AS g WHERE g.release_id = r.release_id) END,
      e.position + 1, greatest(receive.now_ms, e.created_at_ms)
    INTO receive.run_spec_version, v_workflow_name, v_execution_context, v_release_id, v_is_gone,
      receive.position, receive.created_at_ms
    FROM hookline.runs AS r
    CROSS JOIN LATERAL (SELECT FROM hookline.hooks AS h
      WHERE h.hook_id = receive.hook_id AND h.run_id = r.run_id AND h.disposed_at_ms IS NULL
        AND (receive.token IS NULL OR h.token = receive.token) OFFSET 0) AS h
    CROSS JOIN LATERAL (SELECT e.position, e.created_at_ms FROM hookline.events AS e
      WHERE e.run_id = r.run_id ORDER BY e.position DESC LIMIT 1) AS e
    WHERE r.run_id = receive.run_id AND r.status IN ('pending', 'running')
    FOR NO KEY UPDATE OF r SKIP LOCKED;
  v_is_found := FOUND;
  IF key_digest IS NOT NULL THEN
    v_earlier := hookline.earlier_resume(key_digest, payload_digest, now_ms);
    IF v_earlier IS NOT NULL THEN
      outcome := 'repeated';
      run_id := v_earlier;
      RETURN;
    END IF;
  END IF;
  IF NOT v_is_found THEN
    outcome := 'missing';
    RETURN;
  END IF;
  IF v_is_gone THEN
    PERFORM hookline.refuse_if_gone(v_release_id);
  END IF;
  IF run_spec_version NOT IN (2, 3, 6, 7, 8) THEN
    outcome := 'foreign';
    RETURN;
  END IF;
  INSERT INTO hookline.events (run_id, position, event_type, correlation_id, created_at_ms,
      spec_version, data, payload_format, payload, write_id)
    VALUES (receive.run_id, receive.position, 'hook_received', receive.hook_id, receive.created_at_ms,
      receive.spec_version, receive.data, receive.payload_format, receive.payload, receive.write_id)
    ON CONFLICT (run_id, position) DO NOTHING;
  IF NOT FOUND THEN
    outcome := 'changed';
    RETURN;
  END IF;
  SELECT w.queue_ms, w.message_id INTO receive.queue_ms, receive.message_id
    FROM hookline.wake(receive.run_id, v_workflow_name, v_execution_context, v_release_id,
      run_spec_version, workflow_prefix, receive.now_ms, message_number, receive.queue_ms) AS w;
  IF key_digest IS NOT NULL THEN
    INSERT INTO hookline.resume_keys AS k
        (key_digest, run_id, hook_id, payload_digest, expires_at_ms)
      VALUES (receive.key_digest, receive.run_id, receive.hook_id, receive.payload_digest,
        receive.now_ms + window_ms)
      ON CONFLICT (key_digest) DO UPDATE SET run_id = excluded.run_id, hook_id = excluded.hook_id,
        payload_digest = excluded.payload_digest, expires_at_ms = excluded.expires_at_ms
        WHERE k.expires_at_ms <= receive.now_ms;
    DELETE FROM hookline.resume_keys AS k WHERE k.key_digest = ANY (ARRAY(
      SELECT x.key_digest FROM hookline.resume_keys AS x WHERE x.expires_at_ms <= receive.now_ms
        ORDER BY x.expires_at_ms LIMIT 64 FOR UPDATE SKIP LOCKED));
  END IF;
  outcome := 'done';
END $$;

-- Sends a payload to the live hook with a token and wakes its run, if and when the transaction commits.
-- Returns the id of the run. A payload that is NULL arrives as undefined.
CREATE FUNCTION hookline.resume_hook(
  token text,
  payload jsonb DEFAULT NULL,
  idempotency_key text DEFAULT NULL,
  idempotency_window interval DEFAULT '7 days'
) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_token bytea := convert_to(token, 'UTF8');
  v_payload bytea := coalesce(hookline.devalue(payload), 'devl-1');
  v_window_ms bigint := (extract(epoch FROM idempotency_window) * 1000)::bigint;
  v_key_digest text;
  v_payload_digest text := encode(sha256(v_payload), 'hex');
  v_earlier text;
  v_hook record;
  v_received record;
BEGIN
  PERFORM hookline.refuse_if_encrypted();
  IF idempotency_key IS NOT NULL THEN
    IF char_length(idempotency_key) NOT BETWEEN 1 AND 1024
        OR v_window_ms IS NULL OR v_window_ms NOT BETWEEN 1 AND 31536000000 THEN
      RAISE EXCEPTION 'an idempotency key has 1 to 1024 characters, and a window of at most 365 days'
        USING ERRCODE = 'HL422';
    END IF;
    v_key_digest := encode(sha256(convert_to('[' || to_json(token)::text || ','
      || to_json(idempotency_key)::text || ']', 'UTF8')), 'hex');
    v_earlier := hookline.earlier_resume(v_key_digest, v_payload_digest, hookline.now_ms());
    IF v_earlier IS NOT NULL THEN
      RETURN v_earlier;
    END IF;
  END IF;
  SELECT h.run_id, h.hook_id, h.spec_version, r.encryption_key_id INTO v_hook
    FROM hookline.hooks AS h CROSS JOIN LATERAL (SELECT x.encryption_key_id
      FROM hookline.runs AS x WHERE x.run_id = h.run_id OFFSET 0) AS r
    WHERE h.token_digest = sha256(v_token) AND h.token = v_token AND h.disposed_at_ms IS NULL;
  SELECT * INTO v_received FROM hookline.receive(v_hook.run_id, v_hook.hook_id, v_token,
    CASE WHEN v_hook.spec_version >= 6 THEN 7 ELSE 3 END, '{"token":' || to_json(token)::text || '}',
    1::smallint, v_payload, v_key_digest, v_payload_digest, v_window_ms, hookline.workflow_prefix(),
    NULL, true, NULL, NULL, NULL);
  CASE v_received.outcome
  WHEN 'repeated' THEN
    RETURN v_received.run_id;
  WHEN 'missing' THEN
    RAISE EXCEPTION 'hook not found' USING ERRCODE = 'HL404',
      HINT = 'No hook has this token now: it does not exist yet, is disposed, or its run has ended.';
  WHEN 'changed' THEN
    RAISE EXCEPTION 'another transaction has changed the run' USING ERRCODE = '40001';
  ELSE
    IF v_received.outcome <> 'done' OR v_hook.encryption_key_id IS NOT NULL
        OR v_hook.spec_version NOT IN (2, 3, 6, 7, 8) THEN
      RAISE EXCEPTION 'SQL cannot write the values of this run' USING ERRCODE = 'HL501',
        HINT = 'They are encrypted, or of a version of the SDK that only the app knows: use resumeHook().';
    END IF;
  END CASE;
  PERFORM pg_notify('hookline:channel', 'sql');
  RETURN v_received.run_id;
END $$;

-- Starts a run of a workflow, if and when the transaction commits; returns its id. The name is the
-- workflowId of the function. What is not said is as the worker has it that began last.
CREATE FUNCTION hookline.start(
  workflow text,
  args jsonb DEFAULT '[]',
  release text DEFAULT NULL,
  spec_version integer DEFAULT NULL
) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_now_ms bigint := hookline.now_ms();
  v_run hookline.runs;
BEGIN
  PERFORM hookline.refuse_if_encrypted();
  SELECT coalesce(release, d.deployment_id), coalesce(start.spec_version, d.spec_version)
    INTO v_run.deployment_id, v_run.spec_version
    FROM (SELECT) AS always LEFT JOIN hookline.start_defaults AS d ON true;
  IF v_run.deployment_id IS NULL OR v_run.spec_version IS NULL THEN
    RAISE EXCEPTION 'no worker has ever begun on this database, so SQL does not know what it runs'
      USING ERRCODE = 'HL503', HINT = 'Start a worker first, or say release and spec_version.';
  END IF;
  IF workflow !~ '^[A-Za-z0-9_./@()[\]-]+$' OR workflow IS NULL THEN
    RAISE EXCEPTION 'this is not the workflowId of a workflow' USING ERRCODE = 'HL422',
      HINT = 'It is like workflow//./workflows/order//order.';
  ELSIF jsonb_typeof(args) IS DISTINCT FROM 'array' THEN
    RAISE EXCEPTION 'the arguments of a workflow must be a JSON array' USING ERRCODE = 'HL422';
  ELSIF v_run.deployment_id !~ '^[A-Za-z0-9_.@+:-]{1,100}$' OR v_run.deployment_id = 'latest' THEN
    RAISE EXCEPTION 'this is not the id of a release' USING ERRCODE = 'HL422',
      HINT = 'It is what WORKFLOW_HOOKLINE_DEPLOYMENT_ID is in the processes of that release.';
  ELSIF v_run.spec_version NOT IN (2, 3, 6, 7, 8) THEN
    RAISE EXCEPTION 'SQL starts no runs of this spec version' USING ERRCODE = 'HL422',
      HINT = 'It is 3 for line 4 of the SDK and 7 for line 5.';
  END IF;
  PERFORM hookline.refuse_if_gone(v_run.deployment_id);
  v_run.run_id := hookline.fresh_run_id(v_now_ms);
  v_run.release_id := v_run.deployment_id;
  v_run.workflow_name := workflow;
  v_run.execution_context := '{"traceCarrier":{},"features":{"encryption":false}'
    || CASE WHEN v_run.spec_version >= 6 THEN ',"hookResumeInputVersion":1}' ELSE '}' END;
  INSERT INTO hookline.runs (run_id, status, deployment_id, release_id, workflow_name, spec_version,
      execution_context, input_position, created_at_ms, updated_at_ms)
    VALUES (v_run.run_id, 'pending', v_run.deployment_id, v_run.release_id, v_run.workflow_name,
      v_run.spec_version, v_run.execution_context, 1, v_now_ms, v_now_ms);
  INSERT INTO hookline.events (run_id, position, event_type, created_at_ms, spec_version, data,
      payload_format, payload)
    VALUES (v_run.run_id, 1, 'run_created', v_now_ms, v_run.spec_version,
      '{"deploymentId":' || to_json(v_run.deployment_id)::text || ',"workflowName":'
        || to_json(v_run.workflow_name)::text || ',"executionContext":' || v_run.execution_context
        || '}', 1, hookline.devalue(args));
  IF release <> 'dpl_hookline' THEN
    INSERT INTO hookline.releases (release_id, first_seen_ms) VALUES (release, v_now_ms)
      ON CONFLICT (release_id) DO NOTHING;
  END IF;
  PERFORM hookline.wake(v_run.run_id, v_run.workflow_name, v_run.execution_context,
    v_run.release_id, v_run.spec_version, hookline.workflow_prefix(), v_now_ms, NULL, NULL);
  PERFORM pg_notify('hookline:channel', 'sql');
  RETURN v_run.run_id;
END $$;

REVOKE ALL ON FUNCTION
  hookline.devalue(jsonb),
  hookline.fresh_run_id(bigint),
  hookline.refuse_if_encrypted(),
  hookline.workflow_prefix(),
  hookline.resume_hook(text, jsonb, text, interval),
  hookline.start(text, jsonb, text, integer)
FROM PUBLIC;
