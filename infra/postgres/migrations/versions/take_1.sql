-- Deliveries that a worker may claim, due up to `until`: what waits, what a dead worker holds, and
-- what this one holds by a token that it does not know. At most `most`, the oldest first, and of
-- each person all that are late.
--
-- Claims go one after the other, so that a person's late ones are one worker's. What the caller then
-- writes is in the same transaction; the streams of the recipients are locked for it.
CREATE FUNCTION take_1(me uuid, known uuid[], until timestamptz, most int, late timestamptz)
RETURNS SETOF delivery
LANGUAGE plpgsql
-- How much is due decides whether an index or all of it is read: plan for the values.
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    dead uuid[];
    ids uuid[];
BEGIN
    PERFORM pg_advisory_xact_lock(7165921160446243188);
    dead := ARRAY(
        SELECT DISTINCT d.worker FROM delivery d
        WHERE d.state = 'CLAIMED' AND d.worker <> me AND NOT EXISTS (
            SELECT FROM lease l
            WHERE l.name = 'notifier/' || d.worker AND l.until > clock_timestamp()));
    ids := ARRAY(
        SELECT f.id FROM (
            (SELECT d.id, d.fire_at FROM delivery d
             WHERE d.state = 'PENDING' AND d.fire_at <= until ORDER BY d.fire_at LIMIT most)
            UNION ALL
            (SELECT d.id, d.fire_at FROM delivery d
             WHERE d.state = 'CLAIMED' AND d.fire_at <= until
                AND (d.worker = ANY(dead) OR (d.worker = me AND d.token <> ALL(known)))
             ORDER BY d.fire_at LIMIT most)
        ) AS f ORDER BY f.fire_at LIMIT most);
    ids := ids || ARRAY(
        SELECT d.id FROM delivery d
        WHERE d.state IN ('PENDING', 'CLAIMED') AND d.fire_at < late AND d.id <> ALL(ids)
            AND d.recipient IN (
                SELECT o.recipient FROM delivery o WHERE o.id = ANY(ids) AND o.fire_at < late)
            AND (d.state = 'PENDING' OR d.worker = ANY(dead)
                 OR (d.worker = me AND d.token <> ALL(known))));
    PERFORM hold_streams_1(ARRAY(SELECT DISTINCT d.recipient FROM delivery d WHERE d.id = ANY(ids)));
    -- Whoever holds a row now changes it: it is as it was, or the next claim's.
    RETURN QUERY
        SELECT * FROM delivery d
        WHERE d.id = ANY(ids) AND d.state IN ('PENDING', 'CLAIMED') AND d.fire_at <= until
        ORDER BY d.fire_at, d.id FOR UPDATE SKIP LOCKED;
END
$$;
