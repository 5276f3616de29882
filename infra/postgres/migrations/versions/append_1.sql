-- Appends changes to a stream whose head the caller has locked, and returns where it then ends.
-- `p` says what they have in common: at, actor, actor_name, key, trace. Each may say the version that
-- it is written in; without one it is 1.
CREATE FUNCTION append_1(s uuid, INOUT n bigint, INOUT h bytea, p jsonb, changes jsonb)
LANGUAGE plpgsql AS $$
DECLARE
    c jsonb;
BEGIN
    FOR c IN SELECT value FROM jsonb_array_elements(changes) LOOP
        n := n + 1;
        h := sha256(h || int8send(n) || decode(c->>'head', 'hex')
                    || sha256(convert_to(c->>'before', 'UTF8'))
                    || sha256(convert_to(c->>'payload', 'UTF8')));
        INSERT INTO change (stream, seq, id, kind, at, actor, actor_name, subject, fields, key,
                            trace, before, payload, hash, version)
        VALUES (s, n, (c->>'id')::uuid, c->>'kind', p->>'at', (p->>'actor')::uuid, p->>'actor_name',
                (c->>'subject')::uuid,
                ARRAY(SELECT jsonb_array_elements_text(c->'fields')), p->>'key', p->>'trace',
                c->>'before', c->>'payload', h, coalesce((c->>'version')::smallint, 1));
    END LOOP;
END
$$;
