-- Outlook for Windows gives a mail a new immutable id when a person moves it: the mail comes in under a second claim.
-- Same tenant, same Message-ID and the same bytes are the same mail: the second row points to the first one and has no
-- parts. Never by the Message-ID alone: a stranger chooses it.
alter table ingest.message add column duplicate_of bigint;
alter table ingest.message add constraint message_duplicate foreign key (duplicate_of, tenant_id)
    references ingest.message (id, tenant_id) not valid;

-- Returns false where the context's tenant has no such mail under another claim, or has its own row for this claim.
create function ingest.link_copy(
    claim bigint, header text, hash text, arrival text, received timestamptz
) returns boolean
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    tenant constant ingest.message.tenant_id%type := ingest.current_tenant();
begin
    if exists (select from ingest.message where claim_id = claim and tenant_id = tenant) then
        return false;
    end if;
    insert into ingest.message (claim_id, tenant_id, internet_message_id, subject, sender, trigger, received_at,
        container, blob_name, size, sha256, original, rules_version, search, duplicate_of)
    select claim, first.tenant_id, first.internet_message_id, first.subject, first.sender, arrival, received,
        first.container, first.blob_name, first.size, first.sha256, first.original, first.rules_version, first.search,
        first.id
    from ingest.message as first
    where first.tenant_id = tenant and first.sha256 = hash and first.internet_message_id = header
        and first.claim_id <> claim and first.duplicate_of is null
    order by first.id limit 1;
    return found;
end
$$;

-- The contract with the DMS, one row for each document. Columns are added, never changed. Row-level security is that of
-- the reading role. `number` is the mail's number everywhere: in `messages show`, on the page for people, in evidence.
create view ingest.delivered with (security_invoker = true) as
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
        message.subject, message.sender, message.internet_message_id, message.received_at
    from ingest.document join ingest.message on message.id = document.message_id;

drop view ingest.evidence;
create view ingest.evidence with (security_invoker = true) as
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
                    'size', part.size, 'sha256', part.sha256, 'blob_name', part.blob_name
                ) order by part.position
            )
            from ingest.part where part.message_id = coalesce(message.duplicate_of, message.id)
        ) as parts,
        message.original, message.duplicate_of
    from ingest.message;

-- Tenants by name for those who read all tenants' mails; dms_tenant itself holds more than that.
do $$
declare
    tenants text := (
        select format('%I.%I', nspname, relname) from pg_class join pg_namespace on pg_namespace.oid = relnamespace
        where pg_class.oid = 'dms_tenant'::regclass
    );
begin
    execute format(
        'create view ingest.tenant_name as select id, to_jsonb(tenant) ->> ''name'' as name from %s as tenant', tenants
    );
end
$$;

revoke all on all functions in schema ingest from public;
grant execute on function ingest.link_copy to ingest_app;
grant select on ingest.evidence, ingest.delivered to ingest_reader, ingest_operator;
grant select on ingest.tenant_name to ingest_reader, ingest_operator;
