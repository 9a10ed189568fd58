-- A verdict on malware for each blob, and the documents that the DMS does not see.
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
        create table ingest.scan (
            blob_name text collate "C" not null,
            container text collate "C" not null,
            tenant_id %1$s not null references %2$s (id) on delete cascade,
            verdict text not null check (verdict in ('not_scanned', 'failed', 'clean', 'malicious')),
            scanner text,                          -- defender, clamav; null: no result yet
            malware text[] not null default '{}',  -- names, as the scanner calls them
            said text,                             -- the scanner's reason for a scan that failed
            scanned_at timestamptz,                -- by the scanner's clock
            recorded_at timestamptz not null default now(),
            primary key (blob_name, container),
            constraint scan_blob_of_tenant check (starts_with(blob_name, tenant_id || '/'))
        );

        -- The one place that decides what the DMS sees: a document with a row here that is not released is not seen.
        -- No reference to the document: `messages rebuild` writes documents anew under their ids.
        create table ingest.withheld (
            document_id uuid not null,
            tenant_id %1$s not null references %2$s (id) on delete cascade,
            reason text not null,                  -- not_scanned, malicious
            since timestamptz not null default now(),
            released_at timestamptz,               -- by an operator; a later result withholds it no more
            released_by text,
            primary key (document_id, reason),
            constraint withheld_released check ((released_at is null) = (released_by is null))
        );

        -- Blobs without a verdict, for the timer. Only the owner's functions read this table.
        create table ingest.scan_due (
            blob_name text collate "C" not null,
            container text collate "C" not null,
            tenant_id %1$s not null references %2$s (id) on delete cascade,
            since timestamptz not null default now(),
            next_look_at timestamptz not null default now(),
            looks integer not null default 0,
            primary key (blob_name, container)
        );
    $ddl$, tenant_id_type, tenants);
end
$$;
create index scan_tenant on ingest.scan (tenant_id);
create index withheld_tenant on ingest.withheld (tenant_id);
create index scan_due_next on ingest.scan_due (next_look_at);
create index scan_due_tenant on ingest.scan_due (tenant_id);

-- Results that came while the app was set to expect none: `doctor` reports them.
create table ingest.unexpected_scan (
    day date primary key,
    results bigint not null
);

alter table ingest.scan enable row level security;
alter table ingest.scan force row level security;
alter table ingest.withheld enable row level security;
alter table ingest.withheld force row level security;
alter table ingest.scan_due enable row level security;
alter table ingest.unexpected_scan enable row level security;
create policy tenant on ingest.scan using (tenant_id = (select ingest.current_tenant()));
create policy tenant on ingest.withheld using (tenant_id = (select ingest.current_tenant()));
create policy reader on ingest.scan for select to ingest_reader using (true);
create policy reader on ingest.withheld for select to ingest_reader using (true);
create policy operator on ingest.scan for select to ingest_operator using (true);
create policy operator on ingest.withheld for select to ingest_operator using (true);

-- An anti-join for a whole query, and not a call for each row.
alter policy reader on ingest.document using (
    not exists (
        select from ingest.withheld where withheld.document_id = document.id and withheld.released_at is null
    )
);

-- The documents of one mail, as this transaction has recorded them for the context's tenant, wait for their verdict. A scanner may be faster than
-- the transaction that records the mail: its verdict stands. `hide`: until the verdict is clean.
create function ingest.await_scan(message bigint, hide boolean) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    tenant constant ingest.message.tenant_id%type := ingest.current_tenant();
begin
    insert into ingest.scan (blob_name, container, tenant_id, verdict)
    select distinct blob_name, container, tenant_id, 'not_scanned' from ingest.document
    where message_id = message and tenant_id = tenant and created_at = transaction_timestamp()
    on conflict do nothing;
    insert into ingest.scan_due (blob_name, container, tenant_id)
    select distinct scan.blob_name, scan.container, tenant
    from ingest.document join ingest.scan using (blob_name, container)
    where message_id = message and document.tenant_id = tenant and created_at = transaction_timestamp()
        and scan.verdict = 'not_scanned'
    on conflict do nothing;
    insert into ingest.withheld (document_id, tenant_id, reason)
    select document.id, tenant, case scan.verdict when 'malicious' then 'malicious' else 'not_scanned' end
    from ingest.document join ingest.scan using (blob_name, container)
    where message_id = message and document.tenant_id = tenant and created_at = transaction_timestamp()
        and (scan.verdict = 'malicious' or hide and scan.verdict <> 'clean')
    on conflict do nothing;
end
$$;

-- One result of a scanner. Results come doubled and in any order: the graver one stands, and `clean` never takes back
-- `malicious`. Returns `recorded`, `repeated`, or `unknown` for a blob that lies below no tenant.
create function ingest.record_scan(
    of_container text, of_blob text, given text, by_scanner text, names text[], words text, at timestamptz,
    unexpected boolean
) returns text
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    graver constant text[] := array['not_scanned', 'failed', 'clean', 'malicious'];
    tenant ingest.message.tenant_id%type;
    stands text;
    changed bigint;
    shown uuid;
begin
    begin
        tenant := split_part(of_blob, '/', 1);
        perform ingest.open_tenant(tenant);
        insert into ingest.scan (blob_name, container, tenant_id, verdict, scanner, malware, said, scanned_at)
        values (of_blob, of_container, tenant, given, by_scanner, names, words, at)
        on conflict (blob_name, container) do update
        set verdict = excluded.verdict, scanner = excluded.scanner, malware = excluded.malware, said = excluded.said,
            scanned_at = excluded.scanned_at, recorded_at = now()
        where array_position(graver, excluded.verdict) > array_position(graver, scan.verdict);
        get diagnostics changed = row_count;
    exception
        when foreign_key_violation or invalid_text_representation or numeric_value_out_of_range or check_violation then
            return 'unknown';
    end;
    if unexpected then
        insert into ingest.unexpected_scan (day, results) values (current_date, 1)
        on conflict (day) do update set results = unexpected_scan.results + 1;
    end if;
    delete from ingest.scan_due where blob_name = of_blob and container = of_container;
    select verdict into stands from ingest.scan where blob_name = of_blob and container = of_container;
    -- A blob's name has the hash of the mail's original in the third place (ingest/filing.py), which is indexed.
    if stands = 'malicious' then
        insert into ingest.withheld (document_id, tenant_id, reason)
        select document.id, tenant, 'malicious' from ingest.document
        where document.tenant_id = tenant and document.blob_name = of_blob and document.container = of_container
            and message_id in (
                select id from ingest.message where tenant_id = tenant and sha256 = split_part(of_blob, '/', 3)
            )
        on conflict do nothing;
    elsif stands = 'clean' then
        for shown in
            delete from ingest.withheld using ingest.document
            where withheld.document_id = document.id and withheld.reason = 'not_scanned'
                and withheld.tenant_id = tenant and document.tenant_id = tenant
                and document.blob_name = of_blob and document.container = of_container
                and message_id in (
                    select id from ingest.message where tenant_id = tenant and sha256 = split_part(of_blob, '/', 3)
                )
            returning document.id
        loop
            perform pg_notify('ingest_document', shown::text);
        end loop;
    end if;
    return case when changed = 0 then 'repeated' else 'recorded' end;
end
$$;

-- At most `most` blobs without a verdict that are due for a look, none younger than `age`. The distance to the next
-- look doubles from `distance` up to a day.
create function ingest.take_scans(most integer, age interval, distance interval)
    returns table (container text, blob_name text, looks integer)
    language sql security definer
    set search_path = pg_catalog, pg_temp
as $$
    with due as (
        select due.blob_name, due.container from ingest.scan_due as due
        where due.next_look_at <= now() and due.since <= now() - age
        order by due.next_look_at limit most
        for update skip locked
    )
    update ingest.scan_due as taken
    set looks = taken.looks + 1,
        next_look_at = now() + least(interval '1 day', distance * power(2, least(taken.looks, 16)))
    from due where taken.blob_name = due.blob_name and taken.container = due.container
    returning taken.container, taken.blob_name, taken.looks
$$;

-- For `doctor`: blobs without a verdict, the age of the oldest, and results of the last week that were not expected.
create function ingest.scan_state(out waiting bigint, out oldest_seconds double precision, out unexpected bigint)
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select count(*), coalesce(extract(epoch from now() - min(since)), 0),
        (select coalesce(sum(results), 0)::bigint from ingest.unexpected_scan where day > current_date - 7)
    from ingest.scan_due
$$;

-- For operators, on the record: the DMS sees the document, with every verdict.
create function ingest.release_document(
    document uuid, tenant ingest.message.tenant_id%type, why text, remark text
) returns boolean
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    reasons text[];
begin
    perform ingest.open_tenant(tenant);
    with released as (
        update ingest.withheld set released_at = now(), released_by = session_user
        where document_id = document and tenant_id = tenant and released_at is null
        returning reason
    )
    select array_agg(reason order by reason) into reasons from released;
    if reasons is null then
        return false;
    end if;
    perform pg_notify('ingest_document', document::text);
    perform ingest.record_action('document.release', 'document ' || document,
        jsonb_build_object('tenant', tenant, 'withheld', reasons), why, remark);
    return true;
end
$$;

create or replace view ingest.delivered with (security_invoker = true) as
    select document.id, document.tenant_id, message.claim_id as number, document.message_id, document.name,
        document.content_type, document.size, document.sha256, document.container, document.blob_name,
        document.created_at, document.encrypted, document.related_id,
        (
            select earlier.id from ingest.document as earlier
            where earlier.tenant_id = document.tenant_id and earlier.sha256 = document.sha256
                and (earlier.created_at, earlier.id) < (document.created_at, document.id)
            order by earlier.created_at, earlier.id limit 1
        ) as duplicate_of,
        document.invoice_kind, document.invoice_profile, document.invoice_number, document.invoice_issue_date,
        document.invoice_seller, document.invoice_total, document.invoice_currency, document.invoice_problem,
        message.subject, message.sender, message.internet_message_id, message.received_at,
        document.active_content,
        coalesce((
            select scan.verdict from ingest.scan
            where scan.blob_name = document.blob_name and scan.container = document.container
        ), 'not_scanned') as malware_verdict
    from ingest.document join ingest.message on message.id = document.message_id;

create or replace view ingest.evidence with (security_invoker = true) as
    select message.claim_id as number, message.id as message_id, message.tenant_id, message.internet_message_id,
        message.sender, message.subject, message.received_at, message.stored_at, message.rules_version,
        message.container, message.blob_name, message.size, message.sha256,
        (
            select jsonb_agg(
                jsonb_build_object(
                    'position', part.position, 'parent', part.parent, 'name', part.name,
                    'disposition', part.disposition, 'reason', part.reason,
                    'declared_type', part.declared_type, 'detected_type', part.detected_type,
                    'type_mismatch', part.type_mismatch, 'encrypted', part.encrypted, 'related', part.related,
                    'active_content', part.active_content, 'malware_verdict', scan.verdict, 'malware', scan.malware,
                    'size', part.size, 'sha256', part.sha256, 'blob_name', part.blob_name
                ) order by part.position
            )
            from ingest.part
            left join ingest.scan on scan.blob_name = part.blob_name and scan.container = message.container
            where part.message_id = coalesce(message.duplicate_of, message.id)
        ) as parts,
        message.original, message.duplicate_of
    from ingest.message;

-- As before, and the rows of this migration.
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
        jsonb_build_object('messages', messages, 'documents', documents), why, remark);
end
$$;

revoke all on all functions in schema ingest from public;
grant execute on function ingest.await_scan, ingest.record_scan, ingest.take_scans, ingest.scan_state to ingest_app;
grant execute on function ingest.release_document to ingest_operator;
grant select on ingest.scan, ingest.withheld to ingest_reader, ingest_operator;
