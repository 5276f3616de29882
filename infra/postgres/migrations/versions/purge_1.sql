-- Takes tasks out of the trash for good, and says so in the log.
--
-- Once the workspace's row is locked, the deletion sees what the last holder of that lock committed:
-- a task that was restored is not among the deleted, and nothing is done. SQLSTATE CA001: look again.
CREATE FUNCTION purge_1(p jsonb) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    w uuid := (p->>'workspace')::uuid;
    ws workspace;
    gone int;
    n bigint;
    h bytea;
BEGIN
    SELECT * INTO ws FROM workspace WHERE id = w FOR NO KEY UPDATE;
    DELETE FROM task WHERE workspace_id = w AND deleted_at < (p->>'before')::timestamptz
        AND id IN (SELECT (c->>'subject')::uuid FROM jsonb_array_elements(p->'changes') AS c);
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone <> jsonb_array_length(p->'changes') THEN
        RAISE EXCEPTION 'the trash of workspace % has moved', w USING ERRCODE = 'CA001';
    END IF;
    SELECT * INTO n, h FROM append_1(w, ws.head, ws.head_hash, p, p->'changes');
    UPDATE workspace SET head = n, head_hash = h, tree_rev = tree_rev + 1 WHERE id = w;
    RETURN n;
END
$$;
