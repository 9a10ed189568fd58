-- Retention deletes a copy's blobs before its rows. A mail that came in again meanwhile was linked to that copy, and was
-- deleted from its mailbox. The mark is set before the first blob goes; the mail is then stored as a copy of its own.
alter table ingest.message add column ending boolean not null default false;
-- As before, but without the copies that are marked.
create or replace function ingest.link_copy(
    claim bigint, header text, hash text, arrival text, received timestamptz
) returns boolean
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    tenant constant ingest.message.tenant_id%type := ingest.current_tenant();
begin
    perform pg_advisory_xact_lock(hashtextextended(concat_ws(' ', tenant, hash, header), 0));
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
        and first.claim_id <> claim and first.duplicate_of is null and not first.ending
    order by first.id limit 1;
    return found;
end
$$;
-- Marks those of the copies that are due, and returns all of them that are marked. The locks are those of link_copy: a
-- link that is being made is seen as a newer copy, and a later one sees the mark.
create function ingest.mark_ending(tenant ingest.message.tenant_id%type, copies bigint[], before timestamptz)
    returns bigint[]
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform ingest.open_tenant(tenant);
    perform pg_advisory_xact_lock(keys.key) from (
        select distinct hashtextextended(concat_ws(' ', tenant_id, sha256, internet_message_id), 0) as key
        from ingest.message where tenant_id = tenant and id = any (copies)
        order by key
    ) as keys;
    update ingest.message set ending = true
    where tenant_id = tenant and id = any (copies) and stored_at < before and duplicate_of is null and not exists (
        select from ingest.message as link
        where link.duplicate_of = message.id and link.tenant_id = tenant and link.stored_at >= before
    );
    return array(select id from ingest.message where tenant_id = tenant and id = any (copies) and ending);
end
$$;
revoke all on function ingest.mark_ending from public;
grant execute on function ingest.mark_ending to ingest_operator;
