create or replace function ingest.guard_claim() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    safe constant text[] := array['stored', 'deleted'];
begin
    if pg_has_role((select relowner from pg_class where oid = tg_relid), 'usage') then
        return new;
    end if;
    if tg_op = 'INSERT' then
        if new.state not in ('waiting', 'processing') or new.assigned_by is not null then
            raise check_violation using message = 'a claim begins as waiting or processing';
        end if;
        return new;
    end if;
    if (new.id, new.mailbox, new.message_id, new.first_seen_at) is distinct from
        (old.id, old.mailbox, old.message_id, old.first_seen_at)
        or new.assigned_by is distinct from old.assigned_by
    then
        raise check_violation using message = 'a claim stays that of its message';
    end if;
    if new.state = any (safe) and old.state <> all (safe) and (new.state <> 'stored' or not exists (
        select from ingest.message where claim_id = new.id and tenant_id = ingest.current_tenant()
    )) then
        raise check_violation using message = 'a claim is stored with a copy, and deleted after that';
    end if;
    if old.state = any (safe) and new.state <> all (safe) then
        raise check_violation using message = 'a claim that is stored stays so';
    end if;
    return new;
end
$$;

create or replace function ingest.assign_message(
    mailbox text, message_id text, tenant ingest.message.tenant_id%type, why text, remark text
) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    number bigint;
begin
    insert into ingest.claim as claim (mailbox, message_id, state, trigger, assigned_by)
    values (mailbox, message_id, 'waiting', 'operator', coalesce(nullif(remark, ''), session_user))
    on conflict on constraint claim_mailbox_message_id_key do update set assigned_by = excluded.assigned_by
    returning id into number;
    insert into ingest.assignment (claim_id, tenant_id) values (number, tenant)
    on conflict (claim_id) do update set tenant_id = excluded.tenant_id, assigned_at = now();
    perform ingest.record_action('message.assign', 'message ' || number, jsonb_build_object('tenant', tenant), why, remark);
end
$$;
