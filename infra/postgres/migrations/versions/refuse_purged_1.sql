-- A purged task's id stays taken for as long as the log knows it: whoever follows the log would take
-- a new task of that id for the old one. A trigger, so that it holds whichever flush creates tasks.
CREATE FUNCTION refuse_purged_1() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM created JOIN change c ON c.subject = created.id
               WHERE c.kind = 'task.purged') THEN
        RAISE EXCEPTION 'an id is taken' USING ERRCODE = 'CA002';
    END IF;
    RETURN NULL;
END
$$;
