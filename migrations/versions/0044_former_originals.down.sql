drop function ingest.end_left_claims;
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
    insert into ingest.withheld (document_id, tenant_id, reason)
    select new.id, new.tenant_id, 'malicious' from ingest.scan
    where scan.blob_name = new.blob_name and scan.container = new.container and scan.verdict = 'malicious'
    on conflict do nothing;
    return new;
end
$$;

create or replace function ingest.record_scan(
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
        perform pg_advisory_xact_lock(ingest.verdicts_of(tenant, split_part(of_blob, '/', 3)));
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
    perform ingest.close_tenant();
    return case when changed = 0 then 'repeated' else 'recorded' end;
end
$$;

create or replace function ingest.meet_verdicts() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform pg_advisory_xact_lock_shared(ingest.verdicts_of(new.tenant_id, new.sha256));
    return new;
end
$$;

drop function ingest.withhold_known, ingest.meet_verdicts_on, ingest.withhold_content, ingest.mails_of;
drop index ingest.withheld_content;
alter table ingest.withheld drop column sha256;
drop table ingest.former_original;
