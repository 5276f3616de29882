-- What belongs to people, in one go: their reminders, deliveries and feed, and the changes that
-- tell of them in each one's own stream. Returns where those streams end now.
--
-- Locks come in one order: the streams by their ids, then rows. Who holds a workspace took it first.
--
-- SQLSTATE CA001: a delivery is not as it was seen any more; load again.
CREATE FUNCTION persons_1(p jsonb) RETURNS TABLE (of_stream uuid, at_head bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    person jsonb;
    us user_stream;
    touched bigint;
    n bigint;
    h bytea;
BEGIN
    IF p ? 'persons' THEN
        PERFORM hold_streams_1(ARRAY(
            SELECT (value->>'user')::uuid FROM jsonb_array_elements(p->'persons')));
    END IF;

    IF p ? 'reminders_new' THEN
        INSERT INTO reminder (id, task_id, user_id, at, before_due, on_day, days_before, channels,
            nag_every, nag_times, is_default, created_at)
        SELECT id, task_id, user_id, at, before_due, on_day, days_before, channels, nag_every,
            nag_times, is_default, created_at
        FROM jsonb_populate_recordset(NULL::reminder, p->'reminders_new');
    END IF;
    IF p ? 'reminders_at' THEN
        UPDATE reminder SET at = r.at
        FROM jsonb_to_recordset(p->'reminders_at') AS r(id uuid, at timestamptz)
        WHERE reminder.id = r.id;
    END IF;
    IF p ? 'reminders_gone' THEN
        DELETE FROM reminder
        WHERE id IN (SELECT value::uuid FROM jsonb_array_elements_text(p->'reminders_gone'));
    END IF;

    IF p ? 'deliveries' THEN
        -- A worker may be moving the same rows: what was seen has to be what is there. A hold stays,
        -- so that a worker can still say what it sent, until the row is anybody's again.
        UPDATE delivery AS d SET fire_at = r.fire_at, state = r.state, attempts = r.attempts,
            nag = r.nag, snoozed_from = r.snoozed_from, collapsed_into = r.collapsed_into,
            reason = r.reason, is_late = r.is_late, is_unsure = r.is_unsure,
            maybe_repeated = r.maybe_repeated,
            reached = d.reached || coalesce(r.reached, '{}'),
            worker = CASE WHEN r.state <> 'PENDING' THEN coalesce(r.worker, d.worker) END,
            token = CASE WHEN r.state <> 'PENDING' THEN coalesce(r.token, d.token) END,
            begun_by = CASE WHEN r.state <> 'PENDING' AND r.token IS NULL THEN d.begun_by END
        FROM jsonb_to_recordset(p->'deliveries') AS r(id uuid, fire_at timestamptz, state text,
            attempts int, nag smallint, snoozed_from uuid, collapsed_into uuid, reason text,
            is_late boolean, is_unsure boolean, maybe_repeated boolean, reached uuid[],
            worker uuid, token uuid, seen_state text, seen_fire_at timestamptz, seen_attempts int)
        WHERE d.id = r.id AND d.state = r.seen_state AND d.fire_at = r.seen_fire_at
            AND d.attempts = r.seen_attempts;
        GET DIAGNOSTICS touched = ROW_COUNT;
        IF touched <> jsonb_array_length(p->'deliveries') THEN
            RAISE EXCEPTION 'a delivery has moved' USING ERRCODE = 'CA001';
        END IF;
    END IF;
    IF p ? 'deliveries_new' THEN
        INSERT INTO delivery (id, category, source, workspace_id, task_id, recipient, channel,
            root_at, due_at, fire_at, state, attempts, nag, snoozed_from, collapsed_into, reason,
            is_late, is_unsure, maybe_repeated)
        SELECT id, category, source, workspace_id, task_id, recipient, channel, root_at, due_at,
            fire_at, state, attempts, nag, snoozed_from, collapsed_into, reason, is_late, is_unsure,
            maybe_repeated
        FROM jsonb_populate_recordset(NULL::delivery, p->'deliveries_new');
    END IF;
    IF p ? 'browsers_gone' THEN
        DELETE FROM push_subscription
        WHERE id IN (SELECT value::uuid FROM jsonb_array_elements_text(p->'browsers_gone'));
    END IF;

    IF p ? 'notifications' THEN
        INSERT INTO notification AS o (id, user_id, category, title, body, workspace_id, task_id,
            created_at, read_at, archived_at)
        SELECT id, user_id, category, title, body, workspace_id, task_id, created_at, read_at,
            archived_at
        FROM jsonb_populate_recordset(NULL::notification, p->'notifications')
        ON CONFLICT (id) DO UPDATE
            SET read_at = excluded.read_at, archived_at = excluded.archived_at;
    END IF;

    FOR person IN SELECT value FROM jsonb_array_elements(p->'persons') LOOP
        SELECT * INTO us FROM user_stream WHERE id = (person->>'user')::uuid;
        SELECT * INTO n, h FROM append_1(us.id, us.head, us.head_hash, p, person->'changes');
        UPDATE user_stream SET head = n, head_hash = h WHERE id = us.id;
        IF p ? 'notifications' THEN
            UPDATE notification AS o SET seq = c.seq
            FROM change AS c
            WHERE c.stream = us.id AND c.seq > us.head AND c.subject = o.id
                AND starts_with(c.kind, 'notification.') AND o.user_id = us.id;
        END IF;
        of_stream := us.id;
        at_head := n;
        RETURN NEXT;
    END LOOP;
END
$$;
