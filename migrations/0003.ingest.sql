-- depends: 0002.mail-accounts
-- What this app keeps: claims (no tenant data) and, per tenant, messages with their parts and documents.

create schema ingest;

create table ingest.claim (
    id bigint generated always as identity primary key,
    mailbox text collate "C" not null,
    message_id text collate "C" not null,          -- Graph's immutable id
    state text not null check (state in ('waiting', 'processing', 'stored', 'deleted', 'quarantined', 'gone')),
    trigger text not null check (trigger in ('webhook', 'sweep', 'operator')),
    reason text,                                   -- why it is, or was about to be, in Quarantine
    fence bigint not null default 0,               -- grows with each claim; an older owner can write no more
    lease_until timestamptz,                       -- null: nobody works on it
    copies integer not null default 0,             -- tenants that have committed their copy
    attempts integer not null default 0,           -- claims, a killed process's included
    crashes integer not null default 0,            -- leases that ran out under their owner
    defects integer not null default 0,
    deferrals integer not null default 0,          -- times put off; the distance to the next try grows with it
    last_error text,
    received_at timestamptz,
    first_seen_at timestamptz not null default now(),
    enqueued_at timestamptz,                       -- by the sweep
    next_try_at timestamptz,                       -- not enqueued by the sweep before
    ended_at timestamptz,
    unique (mailbox, message_id)
);

-- The sweep looks for what is not finished: few rows among millions.
create index claim_unfinished on ingest.claim (mailbox, next_try_at)
    where state in ('waiting', 'processing', 'stored');

-- dms_tenant.id is bigint or uuid; references to it take its type.
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
        create table ingest.message (
            id bigint generated always as identity primary key,
            claim_id bigint not null references ingest.claim (id),
            tenant_id %1$s not null references dms_tenant (id),
            internet_message_id text,
            subject text not null,
            sender text not null,
            trigger text not null,
            received_at timestamptz not null,
            stored_at timestamptz not null default now(),
            container text not null,
            blob_name text not null,
            size bigint not null,
            sha256 text not null,
            unique (claim_id, tenant_id)
        );

        create table ingest.part (
            id bigint generated always as identity primary key,
            message_id bigint not null references ingest.message (id),
            tenant_id %1$s not null references dms_tenant (id),
            position integer not null,
            disposition text not null,
            reason text,
            name text not null,
            declared_type text,
            size bigint,
            sha256 text,
            blob_name text,
            unique (message_id, position)
        );

        create table ingest.document (
            id uuid primary key default gen_random_uuid(),
            tenant_id %1$s not null references dms_tenant (id),
            message_id bigint not null references ingest.message (id),
            part_id bigint not null unique references ingest.part (id),
            name text not null,
            content_type text,
            size bigint not null,
            sha256 text not null,
            container text not null,
            blob_name text not null,
            created_at timestamptz not null default now()
        );

        create function ingest.current_tenant() returns %1$s
            language sql stable
            return nullif(current_setting('ingest.tenant_id', true), '')::%1$s;

        -- The only way for the app to a tenant: who asks must know a token. Constant work for each of them.
        create function ingest.resolve_tokens(tokens text[])
            returns table (place integer, tenant_id %1$s, active boolean)
            language sql stable security definer
            set search_path = pg_catalog, pg_temp
            as $body$
                select candidate.place::integer, tenant.id,
                    coalesce((to_jsonb(tenant) ->> 'is_active')::boolean, true)
                from unnest(tokens) with ordinality as candidate (token, place)
                join %2$s as tenant on lower(replace(tenant.ingest_token::text, '-', '')) = candidate.token
            $body$;
    $ddl$, tenant_id_type, tenants);
end
$$;

create index message_tenant on ingest.message (tenant_id, received_at);
create index document_tenant on ingest.document (tenant_id, created_at);

-- A tenant sees only its own, whatever a query forgets; forced, so that it binds the owner too.
alter table ingest.message enable row level security;
alter table ingest.message force row level security;
alter table ingest.part enable row level security;
alter table ingest.part force row level security;
alter table ingest.document enable row level security;
alter table ingest.document force row level security;
create policy tenant on ingest.message using (tenant_id = ingest.current_tenant());
create policy tenant on ingest.part using (tenant_id = ingest.current_tenant());
create policy tenant on ingest.document using (tenant_id = ingest.current_tenant());

do $$
begin
    create role ingest_app nologin;
exception
    when duplicate_object then null;  -- roles belong to the server, not to this database
end
$$;
revoke all on function ingest.resolve_tokens(text[]) from public;
grant usage on schema ingest to ingest_app;
grant select, insert, update on ingest.claim to ingest_app;
grant select, insert on ingest.message, ingest.part, ingest.document to ingest_app;
grant execute on function ingest.resolve_tokens(text[]), ingest.current_tenant() to ingest_app;
