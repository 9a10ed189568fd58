-- Operators work through functions of the owner, which record each action in the same transaction. Membership of
-- ingest_operator is enough for them: neither this role nor the app's can change or delete a record.

-- Roles belong to the server: the role may be there already, and it stays when this migration is taken back.
do $$
begin
    if not exists (select from pg_roles where rolname = 'ingest_operator') then
        create role ingest_operator nologin;
    end if;
exception
    when duplicate_object then null;  -- made for another database at the same moment
end
$$;

-- Each entry carries the hash of the entry before it: a changed, removed or inserted entry breaks the chain. The last
-- hash, kept outside of the database, also proves that no entry was cut off at the end (`audit verify --head`).
create table ingest.audit (
    number bigint primary key,                     -- 1, 2, 3 … without a gap
    at timestamptz not null,
    login text not null,                           -- the database login that acted
    action text not null,
    subject text not null,                         -- the thing that the action was done to
    details jsonb not null,
    why text not null,
    remark text not null,                          -- free text of the caller, no proof of anything
    previous text not null,                        -- hash of the entry before; empty in the first one
    hash text not null
);
alter table ingest.audit enable row level security;  -- for the owner's functions alone, but for the policy below
create policy operator on ingest.audit for select to ingest_operator using (true);

create function ingest.refuse_change() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    raise insufficient_privilege using message = 'entries of ingest.audit are never changed or deleted';
end
$$;
create trigger audit_append_only before update or delete or truncate on ingest.audit
    for each statement execute function ingest.refuse_change();

-- SHA-256 over the fields as netstrings (length:bytes,), so that no two entries have the same text.
-- operations/audit.py computes the same.
create function ingest.audit_hash(entry ingest.audit) returns text
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    select encode(sha256(convert_to(string_agg(octet_length(value) || ':' || value || ',', '' order by place), 'UTF8')), 'hex')
    from unnest(array[
        entry.number::text, (extract(epoch from entry.at) * 1000000)::bigint::text, entry.login, entry.action,
        entry.subject, entry.details::text, entry.why, entry.remark, entry.previous
    ]) with ordinality as field (value, place)
$$;

create function ingest.record_action(action text, subject text, details jsonb, why text, remark text) returns bigint
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    entry ingest.audit;
begin
    lock table ingest.audit in share row exclusive mode;  -- one writer at a time: the chain has one end
    select number + 1, hash into entry.number, entry.previous from ingest.audit order by number desc limit 1;
    entry.number := coalesce(entry.number, 1);
    entry.previous := coalesce(entry.previous, '');
    entry.at := clock_timestamp();
    entry.login := session_user;  -- not current_user, which is the owner in here
    entry.action := record_action.action;
    entry.subject := record_action.subject;
    entry.details := record_action.details;
    entry.why := record_action.why;
    entry.remark := record_action.remark;
    entry.hash := ingest.audit_hash(entry);
    insert into ingest.audit select entry.*;
    return entry.number;
end
$$;

-- These two touch dms_tenant, in the schema where it is.
do $$
declare
    tenant_id_type text := (
        select format_type(atttypid, atttypmod) from pg_attribute
        where attrelid = 'dms_tenant'::regclass and attname = 'id'
    );
    tenants text := (
        select format('%I.%I', nspname, relname) from pg_class join pg_namespace on pg_namespace.oid = relnamespace
        where pg_class.oid = 'dms_tenant'::regclass
    );
begin
    execute format($ddl$
        -- One tenant by its id, present or earlier token; or the first ones by id. Names and is_active are read
        -- through jsonb, as not every DMS has these columns.
        create function ingest.tenants(wanted text, at_most integer)
            returns table (id %1$s, name text, token text, is_active boolean, disabled_at timestamptz,
                disabled_by text, earlier text[])
            language sql stable security definer
            set search_path = pg_catalog, pg_temp
            as $body$
                select tenant.id, to_jsonb(tenant) ->> 'name', tenant.ingest_token::text,
                    coalesce((to_jsonb(tenant) ->> 'is_active')::boolean, true),
                    disabled.disabled_at, disabled.disabled_by,
                    coalesce((
                        select array_agg(array[old.token, old.routes_until::text] order by old.routes_until)
                        from ingest.token as old where old.tenant_id = tenant.id and old.routes_until > now()
                    ), '{}')
                from %2$s as tenant left join ingest.disabled_tenant as disabled on disabled.tenant_id = tenant.id
                where wanted is null or tenant.id::text = wanted or tenant.id in (
                    select given.tenant_id from ingest.token as given
                    where given.token = ingest.normal_token(wanted)
                        and (given.routes_until is null or given.routes_until > now())
                )
                order by tenant.id limit at_most
            $body$;

        create function ingest.rotate_token(tenant %1$s, grace interval, why text, remark text) returns void
            language plpgsql security definer
            set search_path = pg_catalog, pg_temp
            as $body$
            begin
                perform set_config('ingest.token_grace', grace::text, true);
                update %2$s set ingest_token = default where id = tenant;
                perform ingest.record_action('tenant.rotate', 'tenant ' || tenant,
                    jsonb_build_object('grace_seconds', extract(epoch from grace)::bigint), why, remark);
            end
            $body$;
    $ddl$, tenant_id_type, tenants);
end
$$;

create function ingest.disable_tenant(tenant ingest.message.tenant_id%type, why text, remark text) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    insert into ingest.disabled_tenant (tenant_id, disabled_by)
    values (tenant, coalesce(nullif(remark, ''), session_user)) on conflict do nothing;
    perform ingest.record_action('tenant.disable', 'tenant ' || tenant, '{}', why, remark);
end
$$;

create function ingest.enable_tenant(tenant ingest.message.tenant_id%type, why text, remark text) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    delete from ingest.disabled_tenant where tenant_id = tenant;
    perform ingest.record_action('tenant.enable', 'tenant ' || tenant, '{}', why, remark);
end
$$;

create function ingest.assign_message(
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

-- What would go with a tenant.
create function ingest.holdings(tenant ingest.message.tenant_id%type)
    returns table (messages bigint, documents bigint, containers text[])
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform ingest.open_tenant(tenant);
    return query select (select count(*) from ingest.message where tenant_id = tenant),
        (select count(*) from ingest.document where tenant_id = tenant),
        array(
            select container from ingest.message where tenant_id = tenant
            union select container from ingest.document where tenant_id = tenant
        );
end
$$;

-- Deletes every row of one tenant, which has to be disabled: no mail of theirs may come in meanwhile. The counts are
-- those that the operator has confirmed.
create function ingest.forget_tenant(
    tenant ingest.message.tenant_id%type, messages bigint, documents bigint, why text, remark text
) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    found ingest.message.tenant_id%type;
    gone_messages bigint;
    gone_documents bigint;
begin
    select tenant_id into found from ingest.disabled_tenant where tenant_id = tenant for update;
    if found is null then
        raise object_not_in_prerequisite_state using message = 'the tenant is not disabled: disable it first';
    end if;
    perform ingest.open_tenant(tenant);
    delete from ingest.document where tenant_id = tenant;
    get diagnostics gone_documents = row_count;
    delete from ingest.part where tenant_id = tenant;
    delete from ingest.message where tenant_id = tenant;
    get diagnostics gone_messages = row_count;
    delete from ingest.assignment where tenant_id = tenant;
    if (gone_messages, gone_documents) <> (messages, documents) then
        raise object_not_in_prerequisite_state using message = format(
            'the tenant has %s messages and %s documents now, not the confirmed %s and %s: nothing was deleted',
            gone_messages, gone_documents, messages, documents);
    end if;
    perform ingest.record_action('tenant.forget', 'tenant ' || tenant,
        jsonb_build_object('messages', messages, 'documents', documents), why, remark);
end
$$;

create policy operator on ingest.message for select to ingest_operator using (true);
create policy operator on ingest.part for select to ingest_operator using (true);
create policy operator on ingest.document for select to ingest_operator using (true);

revoke all on all functions in schema ingest from public;
grant usage on schema ingest to ingest_operator;
grant select on ingest.schema_version, ingest.claim, ingest.message, ingest.part, ingest.document, ingest.evidence,
    ingest.audit to ingest_operator;
grant execute on function ingest.current_tenant(), ingest.tenants(text, integer),
    ingest.record_action(text, text, jsonb, text, text), ingest.assign_message to ingest_operator;
grant execute on function ingest.rotate_token, ingest.disable_tenant, ingest.enable_tenant, ingest.holdings,
    ingest.forget_tenant to ingest_operator;
