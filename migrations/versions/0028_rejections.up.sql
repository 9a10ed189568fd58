-- Mails that go to Quarantine, with sender, subject and reason: a search and the tenant's own history find them. The app
-- may add rows and do nothing else. A row counts while its claim is in Quarantine for the same reason.
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
        create table ingest.rejection (
            id bigint generated always as identity primary key,
            claim_id bigint not null references ingest.claim (id) on delete cascade,
            tenant_id %1$s references %2$s (id),   -- null: the mail names no tenant
            reason text not null,                  -- ingest.codes.Reason
            internet_message_id text,
            subject text not null,
            sender text not null,
            received_at timestamptz not null,
            rejected_at timestamptz not null default now(),
            search tsvector not null,
            unique nulls not distinct (claim_id, tenant_id, reason)
        )
    $ddl$, tenant_id_type, tenants);
end
$$;
create index rejection_search on ingest.rejection using gin (search) with (fastupdate = off);
create index rejection_received on ingest.rejection (received_at desc);
create index rejection_tenant on ingest.rejection (tenant_id, received_at);

-- The app's context decides the tenant of a row. The owner's functions see a tenant's rows inside of the tenant's
-- context only, and those of no tenant always.
alter table ingest.rejection enable row level security;
alter table ingest.rejection force row level security;
create policy tenant on ingest.rejection
    using (tenant_id is null or tenant_id = (select ingest.current_tenant()));
create policy reader on ingest.rejection for select to ingest_reader using (tenant_id is not null);
create policy operator on ingest.rejection for select to ingest_operator using (true);

-- The contract with the DMS, one row for each mail of a tenant. Columns are added, never changed. Row-level security is
-- that of the reading role.
create view ingest.mail_history with (security_invoker = true) as
    select message.tenant_id, message.claim_id as number, message.received_at, message.stored_at, message.sender,
        message.subject, counted.documents, counted.documents - counted.seen as withheld,
        'stored' as state, null::text as reason, message.search
    from ingest.message
    -- The DMS does not see the rows of withheld documents; their parts count for both.
    cross join lateral (
        select
            (
                select count(*) from ingest.part
                where part.message_id = message.id and part.disposition = 'document'
            ) as documents,
            (
                select count(*) from ingest.document
                where document.message_id = message.id and not exists (
                    select from ingest.withheld
                    where withheld.document_id = document.id and withheld.released_at is null
                )
            ) as seen
    ) as counted
    where message.duplicate_of is null
    union all
    select rejection.tenant_id, rejection.claim_id, rejection.received_at, null::timestamptz, rejection.sender,
        rejection.subject, 0::bigint, 0::bigint, 'quarantined', rejection.reason, rejection.search
    from ingest.rejection
    where rejection.tenant_id is not null and exists (
        select from ingest.claim
        where claim.id = rejection.claim_id and claim.state = 'quarantined' and claim.reason = rejection.reason
    );

-- As before, and the rejections.
create or replace function ingest.forget_tenant(
    tenant ingest.message.tenant_id%type, messages bigint, documents bigint, why text, remark text
) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    found ingest.message.tenant_id%type;
    gone_messages bigint;
    gone_documents bigint;
    gone_rejections bigint;
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
    delete from ingest.rejection where tenant_id = tenant;
    get diagnostics gone_rejections = row_count;
    delete from ingest.assignment where tenant_id = tenant;
    delete from ingest.scan where tenant_id = tenant;
    delete from ingest.withheld where tenant_id = tenant;
    delete from ingest.scan_due where tenant_id = tenant;
    delete from ingest.turn where tenant_id = tenant;
    delete from ingest.tenant_hour where tenant_id = tenant;
    delete from ingest.tenant_budget where tenant_id = tenant;
    delete from ingest.old_address where tenant_id = tenant;
    delete from ingest.passed_over where tenant_id = tenant;
    if (gone_messages, gone_documents) <> (messages, documents) then
        raise object_not_in_prerequisite_state using message = format(
            'the tenant has %s messages and %s documents now, not the confirmed %s and %s: nothing was deleted',
            gone_messages, gone_documents, messages, documents);
    end if;
    perform ingest.record_action('tenant.forget', 'tenant ' || tenant,
        jsonb_build_object('messages', messages, 'documents', documents, 'rejections', gone_rejections), why, remark);
end
$$;

grant insert on ingest.rejection to ingest_app;
grant select on ingest.rejection, ingest.mail_history to ingest_reader, ingest_operator;
grant select (id, state, reason) on ingest.claim to ingest_reader;  -- which say nothing of a tenant
