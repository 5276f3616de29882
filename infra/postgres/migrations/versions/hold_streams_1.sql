-- Makes the streams of these people where they are missing, and locks them in their order.
CREATE FUNCTION hold_streams_1(people uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO user_stream (id, head, head_hash, floor_hash)
    SELECT DISTINCT id, 0, decode(repeat('00', 32), 'hex'), decode(repeat('00', 32), 'hex')
    FROM unnest(people) AS id ORDER BY id
    ON CONFLICT DO NOTHING;
    PERFORM FROM user_stream WHERE id = ANY(people) ORDER BY id FOR NO KEY UPDATE;
END
$$;
