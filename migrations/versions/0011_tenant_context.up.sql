-- A stolen app login could name any tenant, because the context was a plain setting. From here on the context is a
-- setting that carries a signature, and only enter_tenant signs: against a token that leads to the tenant, or against
-- an operator's assignment of the message.

-- The key never leaves the owner's functions. Restored from a backup or not, nothing signed outlives its transaction.
create table ingest.context_key (key bytea not null);
insert into ingest.context_key
values (decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'));
alter table ingest.context_key enable row level security;

-- The tenant that an operator chose for a message, in place of the token in its address.
do $$
declare
    tenant_id_type text := (
        select format_type(atttypid, atttypmod) from pg_attribute
        where attrelid = 'dms_tenant'::regclass and attname = 'id'
    );
begin
    execute format($ddl$
        create table ingest.assignment (
            claim_id bigint primary key references ingest.claim (id),
            tenant_id %s not null,
            assigned_at timestamptz not null default now()
        )
    $ddl$, tenant_id_type);
end
$$;
alter table ingest.assignment enable row level security;

-- Good for this tenant in this transaction of this session. The key is hashed in twice, as in HMAC: no signature can
-- be extended into another one.
create function ingest.context_proof(tenant text) returns text
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select encode(sha256(key || sha256(key || convert_to(
        concat_ws(' ', pg_backend_pid(), extract(epoch from transaction_timestamp()), tenant), 'UTF8'))), 'hex')
    from ingest.context_key
$$;

create or replace function ingest.current_tenant() returns ingest.message.tenant_id%type
    language plpgsql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    named text := nullif(current_setting('ingest.tenant_id', true), '');
begin
    if named is null or current_setting('ingest.tenant_proof', true) is distinct from ingest.context_proof(named) then
        return null;
    end if;
    return named;
end
$$;

-- For the owner's functions.
create function ingest.open_tenant(tenant ingest.message.tenant_id%type) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform set_config('ingest.tenant_id', tenant::text, true);
    perform set_config('ingest.tenant_proof', ingest.context_proof(tenant::text), true);
end
$$;

-- An assignment proves for a day: a forgotten one must not open the tenant for ever.
create function ingest.enter_tenant(claim bigint, tenant ingest.message.tenant_id%type, token text) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    if not exists (
        select from ingest.token as given
        where given.token = ingest.normal_token(enter_tenant.token) and given.tenant_id = enter_tenant.tenant
            and (given.routes_until is null or given.routes_until > now())
    ) and not exists (
        select from ingest.assignment as decided
        where decided.claim_id = enter_tenant.claim and decided.tenant_id = enter_tenant.tenant
            and decided.assigned_at > now() - interval '1 day'
    ) then
        raise insufficient_privilege using
            message = 'neither a token nor an assignment proves that the message is for this tenant';
    end if;
    perform ingest.open_tenant(enter_tenant.tenant);
end
$$;

-- Checked once a statement, not once a row.
alter policy tenant on ingest.message using (tenant_id = (select ingest.current_tenant()));
alter policy tenant on ingest.part using (tenant_id = (select ingest.current_tenant()));
alter policy tenant on ingest.document using (tenant_id = (select ingest.current_tenant()));

-- A row names only blobs of its tenant. Not valid: rows of before are not read again.
alter table ingest.message add constraint message_blob_of_tenant
    check (starts_with(blob_name, tenant_id || '/')) not valid;
alter table ingest.part add constraint part_blob_of_tenant
    check (starts_with(blob_name, tenant_id || '/')) not valid;
alter table ingest.document add constraint document_blob_of_tenant
    check (starts_with(blob_name, tenant_id || '/')) not valid;

-- The app's statements read back ids, and nothing that a sender wrote.
revoke select on ingest.message, ingest.part, ingest.document from ingest_app;
grant select (id, claim_id, tenant_id) on ingest.message to ingest_app;
grant select (id, message_id, tenant_id) on ingest.part to ingest_app;
grant select (id, tenant_id) on ingest.document to ingest_app;

-- A claim that says "stored" lets the app delete the mail: only a transaction in the context of a tenant that has the
-- copy may say so, and nothing takes it back. The owner is free to repair.
create function ingest.guard_claim() returns trigger
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
create trigger claim_guarded before insert or update on ingest.claim
    for each row execute function ingest.guard_claim();

revoke all on all functions in schema ingest from public;
grant execute on function ingest.enter_tenant to ingest_app;
