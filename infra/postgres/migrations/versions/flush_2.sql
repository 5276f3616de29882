-- The one way in which a workspace changes: checks what the decision read, writes rows, the log and
-- the idempotency record, and moves the head, in one round trip and one transaction.
--
-- A volatile function takes a new snapshot for each of its statements. So once the workspace's row
-- is locked, the checks see what the last holder of that lock committed: a single statement of many
-- CTEs would see the snapshot from before its wait.
--
-- Locks come in one order: new ids by their hash, the workspace's row, its tasks, users' streams.
--
-- Returns where the streams end that have changed, the workspace's first.
--
-- What is not to be done is not in the argument, and costs nothing.
--
-- SQLSTATE CA001: what the decision read has moved; load again. CA002: a new id is taken.
-- CA003: a slot has its occurrence already, a fault.
CREATE FUNCTION flush_2(p jsonb) RETURNS TABLE (of_stream uuid, at_head bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    w uuid := (p->>'workspace')::uuid;
    ws workspace;
    new_ids uuid[];
    seen_rows int;
    written int;
    n bigint;
    h bytea;
BEGIN
    IF p ? 'new_ids' THEN
        -- Ids are unique over all types, which no index can say. Whoever else brings one of these
        -- at the same time waits here, and then sees what was committed.
        new_ids := ARRAY(SELECT value::uuid FROM jsonb_array_elements_text(p->'new_ids'));
        PERFORM pg_advisory_xact_lock(key)
        FROM (SELECT uuid_hash_extended(id, 0) AS key FROM unnest(new_ids) AS id ORDER BY key) AS k;
        IF EXISTS (SELECT FROM task WHERE id = ANY(new_ids))
           OR EXISTS (SELECT FROM tag WHERE id = ANY(new_ids))
           OR EXISTS (SELECT FROM category WHERE id = ANY(new_ids))
           OR EXISTS (SELECT FROM workspace WHERE id = ANY(new_ids))
           OR EXISTS (SELECT FROM member WHERE id = ANY(new_ids))
           OR EXISTS (SELECT FROM account WHERE id = ANY(new_ids))
           OR EXISTS (SELECT FROM series WHERE id = ANY(new_ids))
           OR EXISTS (SELECT FROM reminder WHERE id = ANY(new_ids))
        THEN
            RAISE EXCEPTION 'an id is taken' USING ERRCODE = 'CA002';
        END IF;
    END IF;

    IF p ? 'accounts' THEN
        INSERT INTO account (id, email, email_key, name, time_zone, password_hash, created_at)
        SELECT id, email, email_key, name, time_zone, password_hash, created_at
        FROM jsonb_populate_recordset(NULL::account, p->'accounts');
    END IF;

    IF p ? 'sessions' THEN
        INSERT INTO session (id, user_id, created_at, expires_at, refresh_digest)
        SELECT id, user_id, created_at, expires_at, decode(refresh_hex, 'hex')
        FROM jsonb_to_recordset(p->'sessions') AS s(
            id uuid, user_id uuid, created_at timestamptz, expires_at timestamptz, refresh_hex text);
    END IF;

    IF p ? 'create' THEN
        INSERT INTO workspace (id, name, created_at, head, head_hash, floor_hash)
        SELECT w, name, created_at, 0, decode(genesis, 'hex'), decode(genesis, 'hex')
        FROM jsonb_to_record(p->'create') AS c(name text, created_at timestamptz, genesis text);
    END IF;

    SELECT * INTO ws FROM workspace WHERE id = w FOR NO KEY UPDATE;
    IF NOT FOUND
       OR ws.roles_rev <> coalesce((p->>'roles_rev')::bigint, ws.roles_rev)
       OR ws.labels_rev <> coalesce((p->>'labels_rev')::bigint, ws.labels_rev)
       OR ws.tree_rev <> coalesce((p->>'tree_rev')::bigint, ws.tree_rev)
    THEN
        RAISE EXCEPTION 'workspace % has moved', w USING ERRCODE = 'CA001';
    END IF;

    IF p ? 'record' THEN
        INSERT INTO idempotency (user_id, key, field, arguments, stream, seq, subject, at, state)
        SELECT r.user_id, r.key, r.field, decode(r.arguments, 'hex'), coalesce(r.stream, w),
               ws.head + coalesce(jsonb_array_length(p->'changes'), 0),
               r.subject, r.at, r.state
        FROM jsonb_to_record(p->'record') AS r(user_id uuid, key text, field text, arguments text,
            stream uuid, subject uuid, at timestamptz, state text);
    END IF;

    IF p ? 'seen' THEN
        SELECT count(*) INTO seen_rows
        FROM task JOIN jsonb_to_recordset(p->'seen') AS s(id uuid, version int) USING (id, version);
        IF seen_rows <> jsonb_array_length(p->'seen') THEN
            RAISE EXCEPTION 'a task of workspace % has moved', w USING ERRCODE = 'CA001';
        END IF;
    END IF;

    IF p ? 'series_seen' THEN
        SELECT count(*) INTO seen_rows
        FROM series JOIN jsonb_to_recordset(p->'series_seen') AS s(id uuid, rev int) USING (id, rev);
        IF seen_rows <> jsonb_array_length(p->'series_seen') THEN
            RAISE EXCEPTION 'a series of workspace % has moved', w USING ERRCODE = 'CA001';
        END IF;
    END IF;

    IF p ? 'claims' THEN
        IF EXISTS (
            SELECT FROM jsonb_to_recordset(p->'claims') AS c(
                task uuid, low text, high text, beside text)
            WHERE EXISTS (
                SELECT FROM task WHERE workspace_id = w AND deleted_at IS NULL AND id <> c.task
                    AND position BETWEEN c.low AND c.high AND position IS DISTINCT FROM c.beside)
        ) THEN
            RAISE EXCEPTION 'a place in workspace % is taken', w USING ERRCODE = 'CA001';
        END IF;
    END IF;

    IF p ? 'members' THEN
        INSERT INTO member (id, workspace_id, user_id, role, created_at)
        SELECT id, w, user_id, role, created_at
        FROM jsonb_populate_recordset(NULL::member, p->'members');
    END IF;
    IF p ? 'members_gone' THEN
        DELETE FROM member WHERE workspace_id = w
            AND id IN (SELECT value::uuid FROM jsonb_array_elements_text(p->'members_gone'));
    END IF;

    IF p ? 'categories_new' THEN
        INSERT INTO category (id, workspace_id, name, name_key, colour)
        SELECT id, w, name, name_key, colour
        FROM jsonb_populate_recordset(NULL::category, p->'categories_new');
    END IF;
    IF p ? 'categories' THEN
        UPDATE category SET name = l.name, name_key = l.name_key, colour = l.colour
        FROM jsonb_populate_recordset(NULL::category, p->'categories') AS l
        WHERE category.id = l.id AND category.workspace_id = w;
    END IF;
    IF p ? 'tags_new' THEN
        INSERT INTO tag (id, workspace_id, name, name_key, colour)
        SELECT id, w, name, name_key, colour
        FROM jsonb_populate_recordset(NULL::tag, p->'tags_new');
    END IF;
    IF p ? 'tags' THEN
        UPDATE tag SET name = l.name, name_key = l.name_key, colour = l.colour
        FROM jsonb_populate_recordset(NULL::tag, p->'tags') AS l
        WHERE tag.id = l.id AND tag.workspace_id = w;
    END IF;
    -- One change of the label, however many tasks had it; each of them has a new version even so.
    IF p ? 'category_gone' THEN
        UPDATE task SET category_id = NULL, version = version + 1
        WHERE workspace_id = w AND category_id = (p->>'category_gone')::uuid;
        DELETE FROM category WHERE workspace_id = w AND id = (p->>'category_gone')::uuid;
    END IF;
    IF p ? 'tag_gone' THEN
        UPDATE task SET tag_ids = array_remove(tag_ids, (p->>'tag_gone')::uuid),
            version = version + 1
        WHERE workspace_id = w AND tag_ids @> ARRAY[(p->>'tag_gone')::uuid];
        DELETE FROM tag WHERE workspace_id = w AND id = (p->>'tag_gone')::uuid;
    END IF;

    IF p ? 'series_new' THEN
        INSERT INTO series (id, workspace_id, rule, cron, start_day, start_at, zone, gap, overlap,
            month_end, anchor, catch_up, open, summary, title, description, priority, category_id,
            tag_ids, assignee_id, parent_id, current, done_until, next_at, made, skipped, is_paused,
            ended_at, version, rev)
        SELECT id, w, rule, cron, start_day, start_at, zone, gap, overlap, month_end, anchor, catch_up,
            open, summary, title, description, priority, category_id, tag_ids, assignee_id, parent_id,
            current, done_until, next_at, made, skipped, is_paused, ended_at, version, rev
        FROM jsonb_populate_recordset(NULL::series, p->'series_new');
    END IF;
    IF p ? 'series' THEN
        UPDATE series SET rule = s.rule, cron = s.cron, start_day = s.start_day,
            start_at = s.start_at, zone = s.zone, gap = s.gap, overlap = s.overlap,
            month_end = s.month_end, anchor = s.anchor, catch_up = s.catch_up, open = s.open,
            summary = s.summary, title = s.title, description = s.description,
            priority = s.priority, category_id = s.category_id, tag_ids = s.tag_ids,
            assignee_id = s.assignee_id, parent_id = s.parent_id
        FROM jsonb_populate_recordset(NULL::series, p->'series') AS s
        WHERE series.id = s.id AND series.workspace_id = w;
    END IF;
    IF p ? 'series_moved' THEN
        -- Whoever worked on it has done so: it is claimed no more.
        UPDATE series SET current = s.current, done_until = s.done_until, next_at = s.next_at,
            made = s.made, skipped = s.skipped, is_paused = s.is_paused, ended_at = s.ended_at, version = s.version,
            rev = s.rev, claimed_until = NULL
        FROM jsonb_to_recordset(p->'series_moved') AS s(id uuid, current uuid,
            done_until timestamptz, next_at timestamptz, made int, skipped text[],
            is_paused boolean, ended_at timestamptz, version int, rev int)
        WHERE series.id = s.id AND series.workspace_id = w;
    END IF;
    IF p ? 'slots_moved' THEN
        UPDATE series_slot SET series_id = s.target
        FROM jsonb_to_record(p->'slots_moved') AS s(source uuid, target uuid, since timestamptz)
        WHERE series_slot.series_id = s.source AND series_slot.instant >= s.since;
    END IF;
    IF p ? 'slots_new' THEN
        -- What was passed over, skipped or taken back may come again after an undo. What was made
        -- never does: whoever decides that has not seen it, though nothing has moved.
        INSERT INTO series_slot (series_id, slot, origin, instant, state, task_id)
        SELECT series_id, slot, origin, instant, state, task_id
        FROM jsonb_populate_recordset(NULL::series_slot, p->'slots_new')
        ON CONFLICT (series_id, slot, origin) DO UPDATE SET state = excluded.state,
            instant = excluded.instant,
            task_id = coalesce(excluded.task_id, series_slot.task_id)
        WHERE series_slot.state <> 'SPAWNED';
        GET DIAGNOSTICS written = ROW_COUNT;
        IF written <> jsonb_array_length(p->'slots_new') THEN
            RAISE EXCEPTION 'a slot of workspace % was made before', w USING ERRCODE = 'CA003';
        END IF;
    END IF;
    IF p ? 'slots' THEN
        UPDATE series_slot SET state = s.state,
            instant = coalesce(s.instant, series_slot.instant),
            task_id = coalesce(s.task_id, series_slot.task_id)
        FROM jsonb_populate_recordset(NULL::series_slot, p->'slots') AS s
        WHERE (series_slot.series_id, series_slot.slot) = (s.series_id, s.slot)
            AND (series_slot.origin = s.origin OR (s.origin IS NULL AND series_slot.task_id = s.task_id));
    END IF;

    IF p ? 'tasks_new' THEN
        INSERT INTO task (id, workspace_id, title, title_key, description, status, priority, due_day,
            due_at, due_zone, due_fold, due_instant, category_id, tag_ids, assignee_id, parent_id,
            position, version, created_at, updated_at, completed_at, deleted_at, series_id, slot,
            search)
        SELECT id, w, title, title_key, description, status, priority, due_day, due_at, due_zone,
            due_fold, due_instant, category_id, tag_ids, assignee_id, parent_id, position, version,
            created_at, updated_at, completed_at, deleted_at, series_id, slot,
            setweight(to_tsvector('simple', search_a), 'A')
                || setweight(to_tsvector('simple', search_b), 'B')
        FROM jsonb_to_recordset(p->'tasks_new') AS t(id uuid, title text, title_key text,
            description text, status text, priority smallint, due_day date, due_at text, due_zone text,
            due_fold boolean, due_instant timestamptz, category_id uuid, tag_ids uuid[],
            assignee_id uuid, parent_id uuid, position text, version int, created_at timestamptz,
            updated_at timestamptz, completed_at timestamptz, deleted_at timestamptz,
            series_id uuid, slot text, search_a text, search_b text);
    END IF;

    IF p ? 'tasks' THEN
        -- The words are in the argument where they changed; they may be long, and stay where they are.
        UPDATE task SET title = coalesce(t.title, task.title),
            title_key = coalesce(t.title_key, task.title_key),
            description = coalesce(t.description, task.description),
            search = CASE WHEN t.search_a IS NULL THEN task.search
                     ELSE setweight(to_tsvector('simple', t.search_a), 'A')
                          || setweight(to_tsvector('simple', t.search_b), 'B') END,
            status = t.status, priority = t.priority, due_day = t.due_day, due_at = t.due_at,
            due_zone = t.due_zone, due_fold = t.due_fold, due_instant = t.due_instant,
            category_id = t.category_id, tag_ids = t.tag_ids, assignee_id = t.assignee_id,
            parent_id = t.parent_id, position = t.position, version = t.version,
            updated_at = t.updated_at, completed_at = t.completed_at, deleted_at = t.deleted_at,
            series_id = t.series_id, slot = t.slot
        FROM jsonb_to_recordset(p->'tasks') AS t(id uuid, title text, title_key text,
            description text, search_a text, search_b text, status text, priority smallint,
            due_day date, due_at text, due_zone text, due_fold boolean, due_instant timestamptz,
            category_id uuid, tag_ids uuid[], assignee_id uuid, parent_id uuid, position text,
            version int, updated_at timestamptz, completed_at timestamptz, deleted_at timestamptz,
            series_id uuid, slot text)
        WHERE task.id = t.id AND task.workspace_id = w;
    END IF;

    n := ws.head;
    IF p ? 'changes' THEN
        SELECT * INTO n, h FROM append_1(w, ws.head, ws.head_hash, p, p->'changes');
        UPDATE workspace SET head = n, head_hash = h,
            roles_rev = roles_rev + (p->>'roles_moved')::int,
            labels_rev = labels_rev + (p->>'labels_moved')::int,
            tree_rev = tree_rev + (p->>'tree_moved')::int
        WHERE id = w;
    END IF;
    RETURN QUERY SELECT w, n;
    IF p ? 'personal' THEN
        RETURN QUERY SELECT * FROM persons_1(p);
        -- Of a mutation of the user's own stream, the key's record tells the seq there.
        IF p->'record' ? 'stream' THEN
            UPDATE idempotency SET seq = s.head FROM user_stream s
            WHERE s.id = stream AND user_id = stream AND key = p->'record'->>'key';
        END IF;
    END IF;
END
$$;
