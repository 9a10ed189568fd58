-- What this app keeps: claims (no tenant data) and, per tenant, messages with their parts and documents.

-- Past what is rolled back, so that no two owners ever get the same one.
create sequence ingest.fence;

create table ingest.claim (
    id bigint generated always as identity primary key,
    mailbox text collate "C" not null,
    message_id text collate "C" not null,          -- Graph's immutable id
    state text not null check (state in ('waiting', 'processing', 'stored', 'deleted', 'quarantined', 'gone')),
    trigger text not null check (trigger in ('webhook', 'sweep', 'operator')),
    reason text,                                   -- why it is, or was about to be, in Quarantine
    fence bigint not null default 0,               -- of the last claim; an older owner can write no more
    lease_until timestamptz,                       -- null: no process works on it
    copies integer not null default 0,             -- tenants that have committed their copy
    attempts integer not null default 0,           -- claims, a killed process's included
    lost_fences bigint[] not null default '{}',    -- owners that let their lease expire and gave no sign since
    crashes integer not null generated always as (cardinality(lost_fences)) stored,
    defects integer not null default 0,
    deferrals integer not null default 0,          -- times put off; the distance to the next try grows with it
    last_error text,
    assigned_by text,                              -- the operator who chose the tenant in place of the address
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

-- dms_tenant.id is an integer, bigint or uuid; references to it take its type.
do $$
declare
    tenant_id_type text := (
        select format_type(atttypid, atttypmod) from pg_attribute
        where attrelid = 'dms_tenant'::regclass and attname = 'id'
    );
    -- With its schema: inside a function of a fixed search_path the bare name would not be found.
    tenants text := (
        select format('%I.%I', nspname, relname) from pg_class join pg_namespace on pg_namespace.oid = relnamespace
        where pg_class.oid = 'dms_tenant'::regclass
    );
begin
    -- Foreign keys within a tenant's data carry the tenant: Postgres checks them past row-level security, so that
    -- a part could otherwise be hung onto another tenant's message.
    execute format($ddl$
        create table ingest.message (
            id bigint generated always as identity primary key,
            claim_id bigint not null references ingest.claim (id),
            tenant_id %1$s not null references %2$s (id),
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
            unique (claim_id, tenant_id),
            unique (id, tenant_id)
        );

        create table ingest.part (
            id bigint generated always as identity primary key,
            message_id bigint not null,
            tenant_id %1$s not null references %2$s (id),
            position integer not null,
            disposition text not null,
            reason text,
            name text not null,
            declared_type text,
            size bigint,
            sha256 text,
            blob_name text,
            unique (message_id, position),
            unique (id, tenant_id),
            foreign key (message_id, tenant_id) references ingest.message (id, tenant_id)
        );

        create table ingest.document (
            id uuid primary key default gen_random_uuid(),
            tenant_id %1$s not null references %2$s (id),
            message_id bigint not null,
            part_id bigint not null unique,
            name text not null,
            content_type text,
            size bigint not null,
            sha256 text not null,
            container text not null,
            blob_name text not null,
            created_at timestamptz not null default now(),
            foreign key (message_id, tenant_id) references ingest.message (id, tenant_id),
            foreign key (part_id, tenant_id) references ingest.part (id, tenant_id)
        );

        create function ingest.current_tenant() returns %1$s
            language sql stable
            return nullif(current_setting('ingest.tenant_id', true), '')::%1$s;
    $ddl$, tenant_id_type, tenants);
end
$$;

create index message_tenant on ingest.message (tenant_id, received_at);
create index part_tenant on ingest.part (tenant_id);
create index document_tenant on ingest.document (tenant_id, created_at);
create index document_message on ingest.document (message_id);

-- A listener gets the id of a document once it is committed, and nothing else of it.
create function ingest.announce_document() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform pg_notify('ingest_document', new.id::text);
    return null;
end
$$;
create trigger document_announced after insert on ingest.document
    for each row execute function ingest.announce_document();

-- Roles belong to the server, not to this database: they may be there already, and they stay. Looked for first, as
-- an owner that may not make roles may use those that an administrator has made.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['ingest_app', 'ingest_reader'] loop
        if not exists (select from pg_roles where rolname = wanted) then
            execute format('create role %I nologin', wanted);
        end if;
    end loop;
exception
    when duplicate_object then null;  -- made for another database at the same moment
end
$$;

-- A tenant sees only its own rows, also where a query forgets the tenant; forced, so that the owner is bound too. The
-- DMS, as ingest_reader, reads every tenant's rows: it keeps its tenants apart itself, as in its own tables.
alter table ingest.message enable row level security;
alter table ingest.message force row level security;
alter table ingest.part enable row level security;
alter table ingest.part force row level security;
alter table ingest.document enable row level security;
alter table ingest.document force row level security;
create policy tenant on ingest.message using (tenant_id = ingest.current_tenant());
create policy tenant on ingest.part using (tenant_id = ingest.current_tenant());
create policy tenant on ingest.document using (tenant_id = ingest.current_tenant());
create policy reader on ingest.message for select to ingest_reader using (true);
create policy reader on ingest.part for select to ingest_reader using (true);
create policy reader on ingest.document for select to ingest_reader using (true);

revoke all on all functions in schema ingest from public;
grant usage on schema ingest to ingest_app, ingest_reader;
grant select on ingest.schema_version to ingest_app;  -- for `doctor`, which names what is missing
grant usage on sequence ingest.fence to ingest_app;
grant select, insert, update on ingest.claim to ingest_app;
grant select, insert on ingest.message, ingest.part, ingest.document to ingest_app;
grant execute on function ingest.current_tenant() to ingest_app, ingest_reader;
grant select on ingest.message, ingest.part, ingest.document to ingest_reader;
