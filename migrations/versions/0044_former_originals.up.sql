-- A verdict finds its documents by the hash of the original in the blob's name. `messages restore` may record an original of
-- other bytes, while the parts keep their names: a malicious part was shown to the DMS.

-- The hashes that a restored copy's original had before: few copies among millions. The rows go with their copy. Only the owner's
-- functions and commands read this table.
do $$
declare
    tenant_id_type text := (
        select format_type(atttypid, atttypmod) from pg_attribute
        where attrelid = 'ingest.message'::regclass and attname = 'tenant_id'
    );
begin
    execute format($ddl$
        create table ingest.former_original (
            tenant_id %s not null,
            sha256 text not null,
            message_id bigint not null,
            primary key (tenant_id, sha256, message_id),
            foreign key (message_id, tenant_id) references ingest.message (id, tenant_id) on delete cascade
        );
    $ddl$, tenant_id_type);
end
$$;
create index former_original_message on ingest.former_original (message_id);
alter table ingest.former_original enable row level security;

-- Of a malicious document, its hash: the same content is withheld wherever the tenant has it.
alter table ingest.withheld add column sha256 text;

-- Row-level security binds the owner, too: for the table of withheld documents not within this transaction.
alter table ingest.withheld no force row level security;
do $$
declare
    tenant ingest.message.tenant_id%type;
    number bigint;
begin
    for tenant in select distinct tenant_id from ingest.withheld where reason = 'malicious' loop
        perform ingest.open_tenant(tenant);
        update ingest.withheld set sha256 = document.sha256 from ingest.document
        where withheld.tenant_id = tenant and withheld.reason = 'malicious' and document.id = withheld.document_id;
    end loop;
    for tenant, number in
        select distinct details ->> 'tenant', split_part(subject, ' ', 2)::bigint from ingest.audit
        where action = 'message.restore' and (details ->> 'other_original')::boolean
    loop
        perform ingest.open_tenant(tenant);
        insert into ingest.former_original (tenant_id, sha256, message_id)
        select distinct message.tenant_id, split_part(part.blob_name, '/', 3), message.id
        from ingest.message join ingest.part on part.message_id = message.id
        where message.claim_id = number and message.tenant_id = tenant
            and split_part(part.blob_name, '/', 3) not in (message.sha256, '');
    end loop;
    perform ingest.close_tenant();
end
$$;
alter table ingest.withheld force row level security;
create index withheld_content on ingest.withheld (tenant_id, sha256) where sha256 is not null;

-- The copies whose original has this hash, or had the hash before it was restored.
create function ingest.mails_of(tenant ingest.message.tenant_id%type, hash text) returns setof bigint
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    select id from ingest.message where tenant_id = tenant and sha256 = hash
    union
    select message_id from ingest.former_original where tenant_id = tenant and sha256 = hash
$$;

-- A document that an operator released stays released.
create function ingest.withhold_content(tenant ingest.message.tenant_id%type, hashes text[]) returns void
    language sql
    set search_path = pg_catalog, pg_temp
as $$
    insert into ingest.withheld (document_id, tenant_id, reason, sha256)
    select id, tenant_id, 'malicious', sha256 from ingest.document
    where tenant_id = tenant and sha256 = any (hashes)
    on conflict do nothing
$$;

-- As before, and the lock of all malicious verdicts of a tenant: exclusive for such a verdict, shared for the one who records
-- documents. Everywhere this lock is the last one of the locks of verdicts.
create or replace function ingest.meet_verdicts() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform pg_advisory_xact_lock_shared(ingest.verdicts_of(new.tenant_id, new.sha256)),
        pg_advisory_xact_lock_shared(ingest.verdicts_of(new.tenant_id, ''));
    return new;
end
$$;

-- The locks of `meet_verdicts` for a copy that is on record: for each hash in the names of its blobs.
create function ingest.meet_verdicts_on(copy bigint) returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform pg_advisory_xact_lock_shared(ingest.verdicts_of(hashes.tenant_id, hashes.sha256)) from (
        select tenant_id, sha256 from ingest.message where id = copy
        union select tenant_id, sha256 from ingest.former_original where message_id = copy
        union select tenant_id, '' from ingest.message where id = copy
        order by 2 desc
    ) as hashes;
end
$$;

-- For a copy whose documents have changed: those that are known as malicious are withheld.
create function ingest.withhold_known(copy bigint) returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    tenant ingest.message.tenant_id%type;
    hashes text[];
begin
    select document.tenant_id, array_agg(document.sha256) into tenant, hashes from ingest.document
    where message_id = copy and (exists (
        select from ingest.scan
        where scan.blob_name = document.blob_name and scan.container = document.container and scan.verdict = 'malicious'
    ) or exists (
        select from ingest.withheld as known
        where known.tenant_id = document.tenant_id and known.sha256 = document.sha256 and known.released_at is null
    ))
    group by document.tenant_id;
    perform ingest.withhold_content(tenant, hashes);
end
$$;

-- As before, and a document whose content is known as malicious is withheld with all documents of that content.
create or replace function ingest.take_after_message() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    held text;
begin
    select message.purpose, message.held_reason into new.purpose, held
    from ingest.message where message.id = new.message_id;
    if held is not null then
        insert into ingest.withheld (document_id, tenant_id, reason) values (new.id, new.tenant_id, 'sender')
        on conflict do nothing;
    end if;
    insert into ingest.withheld (document_id, tenant_id, reason, sha256)
    select new.id, new.tenant_id, 'malicious', new.sha256
    where exists (
        select from ingest.scan
        where scan.blob_name = new.blob_name and scan.container = new.container and scan.verdict = 'malicious'
    ) or exists (
        select from ingest.withheld as known
        where known.tenant_id = new.tenant_id and known.sha256 = new.sha256 and known.released_at is null
    )
    on conflict do nothing;
    if found then
        perform ingest.withhold_content(new.tenant_id, array[new.sha256]);
    end if;
    return new;
end
$$;

-- As before, for the mails of former originals, too, and for all documents of the content.
create or replace function ingest.record_scan(
    of_container text, of_blob text, given text, by_scanner text, names text[], words text, at timestamptz,
    unexpected boolean
) returns text
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    -- A blob's name has the hash of the mail's original in the third place, the part's place in the mail in the fourth one
    -- (ingest/filing.py).
    hash constant text := split_part(of_blob, '/', 3);
    place constant text := split_part(of_blob, '/', 4);
    graver constant text[] := array['not_scanned', 'failed', 'clean', 'malicious'];
    tenant ingest.message.tenant_id%type;
    stands text;
    changed bigint;
    shown uuid;
begin
    begin
        tenant := split_part(of_blob, '/', 1);
        perform ingest.open_tenant(tenant);
        perform pg_advisory_xact_lock(ingest.verdicts_of(tenant, hash));
        if given = 'malicious' then
            perform pg_advisory_xact_lock(ingest.verdicts_of(tenant, ''));
        end if;
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
    if stands = 'malicious' then
        -- The same place in the same original is the same content: also in a blob of a mail that was linked to an earlier copy.
        -- An original that was restored with other bytes is the same mail.
        perform ingest.withhold_content(tenant, array(
            select sha256 from ingest.document
            where tenant_id = tenant and message_id in (select ingest.mails_of(tenant, hash))
                and split_part(blob_name, '/', 4) = place
                and (split_part(blob_name, '/', 3) = hash or starts_with(place, 'original.'))
        ));
    elsif stands = 'clean' then
        for shown in
            delete from ingest.withheld using ingest.document
            where withheld.document_id = document.id and withheld.reason = 'not_scanned'
                and withheld.tenant_id = tenant and document.tenant_id = tenant
                and document.blob_name = of_blob and document.container = of_container
                and message_id in (select ingest.mails_of(tenant, hash))
            returning document.id
        loop
            perform pg_notify('ingest_document', shown::text);
        end loop;
    end if;
    perform ingest.close_tenant();
    return case when changed = 0 then 'repeated' else 'recorded' end;
end
$$;

-- A mailbox that left the settings is swept no more: its unfinished claims never ended, and retention kept their copies. The
-- claims that are quiet since a moment end as gone. A mail that is in its inbox after all, once the mailbox is back, is taken up
-- again: a claim that is gone starts afresh.
create function ingest.end_left_claims(mailboxes text[], before timestamptz, why text, remark text) returns bigint
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    due bigint[];
    removed text[];
begin
    with locked as (
        select id, mailbox from ingest.claim
        where state in ('waiting', 'processing', 'stored') and mailbox <> all (mailboxes)
            and greatest(first_seen_at, enqueued_at, next_try_at, lease_until) < before
        order by mailbox, message_id for update
    )
    select coalesce(array_agg(id), '{}'), array_agg(distinct mailbox) into due, removed from locked;
    if cardinality(due) = 0 then
        return 0;
    end if;
    delete from ingest.turn where claim_id = any (due);
    update ingest.claim
    set state = 'gone', fence = nextval('ingest.fence'), lease_until = null, next_try_at = null, waits_since = null,
        deferrals = 0, last_error = 'the mailbox is not in the settings any more', ended_at = now()
    where id = any (due);
    perform ingest.record_action('retention.left', 'claims',
        jsonb_build_object('claims', cardinality(due), 'mailboxes', removed, 'before', before), why, remark);
    return cardinality(due);
end
$$;

revoke all on function ingest.mails_of, ingest.withhold_content, ingest.meet_verdicts_on, ingest.withhold_known,
    ingest.end_left_claims from public;
grant execute on function ingest.end_left_claims to ingest_operator;
