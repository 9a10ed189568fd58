-- The place comes from the session's setting ingest.acts_from (operations/origin.py), and is no proof, as the remark is
-- none. An entry's hash covers the details. Entries of before, and those of a DMS that sets no place, have none.
create or replace function ingest.record_action(action text, subject text, details jsonb, why text, remark text) returns bigint
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    entry ingest.audit;
    origin constant text := left(current_setting('ingest.acts_from', true), 200);
begin
    if why !~ '\S' then
        raise check_violation using message = 'an action needs a reason';
    end if;
    lock table ingest.audit in share row exclusive mode;  -- one writer at a time: the chain has one end
    select number + 1, hash into entry.number, entry.previous from ingest.audit order by number desc limit 1;
    entry.number := coalesce(entry.number, 1);
    entry.previous := coalesce(entry.previous, '');
    entry.at := clock_timestamp();
    entry.login := session_user;  -- not current_user, which is the owner in here
    entry.action := record_action.action;
    entry.subject := record_action.subject;
    entry.details := record_action.details;
    if origin <> '' then
        entry.details := entry.details || jsonb_build_object('from', origin);
    end if;
    entry.why := record_action.why;
    entry.remark := record_action.remark;
    entry.hash := ingest.audit_hash(entry);
    insert into ingest.audit select entry.*;
    return entry.number;
end
$$;
