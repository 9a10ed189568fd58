-- The end of what is kept, by `python -m ingest retention`. Operators name rows and a moment; each function deletes those
-- rows among them that ended before the moment, and records the action in the same transaction.
create or replace function ingest.expire_copies(
    tenant ingest.message.tenant_id%type, copies bigint[], before timestamptz, why text, remark text
) returns bigint
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    due bigint[];
begin
    perform ingest.open_tenant(tenant);
    -- A later copy of the same mail is linked to the first one and has its parts from there.
    due := array(
        select id from ingest.message
        where tenant_id = tenant and id = any (copies) and stored_at < before and not exists (
            select from ingest.message as link
            where link.duplicate_of = message.id and link.tenant_id = tenant and link.stored_at >= before
        )
    );
    delete from ingest.scan where tenant_id = tenant and (blob_name, container) in (
        select blob_name, container from ingest.document where message_id = any (due)
    );
    delete from ingest.scan_due where tenant_id = tenant and (blob_name, container) in (
        select blob_name, container from ingest.document where message_id = any (due)
    );
    delete from ingest.withheld where tenant_id = tenant and document_id in (
        select id from ingest.document where message_id = any (due)
    );
    delete from ingest.document where tenant_id = tenant and message_id = any (due);
    delete from ingest.part where tenant_id = tenant and message_id = any (due);
    delete from ingest.message where tenant_id = tenant and id = any (due);
    perform ingest.record_action('retention.mails', 'tenant ' || tenant,
        jsonb_build_object('copies', cardinality(due), 'before', before), why, remark);
    return cardinality(due);
end
$$;
-- next statement
-- `tenant`: null for rejections of no tenant.
create or replace function ingest.expire_rejections(
    tenant ingest.message.tenant_id%type, rejections bigint[], before timestamptz, why text, remark text
) returns bigint
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    gone bigint;
begin
    if tenant is not null then
        perform ingest.open_tenant(tenant);
    end if;
    delete from ingest.rejection
    where id = any (rejections) and rejected_at < before and tenant_id is not distinct from tenant;
    get diagnostics gone = row_count;
    perform ingest.record_action('retention.rejections', coalesce('tenant ' || tenant, 'no tenant'),
        jsonb_build_object('rejections', gone, 'before', before), why, remark);
    return gone;
end
$$;
-- next statement
-- A claim with a copy stays: the foreign key of the copy refuses the deletion.
create or replace function ingest.expire_claims(claims bigint[], before timestamptz, why text, remark text)
    returns bigint
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    due constant bigint[] := array(
        select id from ingest.claim
        where id = any (claims) and state in ('deleted', 'quarantined', 'gone') and ended_at < before
    );
begin
    delete from ingest.assignment where claim_id = any (due);
    delete from ingest.claim where id = any (due);
    perform ingest.record_action('retention.claims', 'claims',
        jsonb_build_object('claims', cardinality(due), 'before', before), why, remark);
    return cardinality(due);
end
$$;
-- next statement
revoke all on function ingest.expire_copies, ingest.expire_rejections, ingest.expire_claims from public;
-- next statement
grant execute on function ingest.expire_copies, ingest.expire_rejections, ingest.expire_claims to ingest_operator;
-- next statement
set lock_timeout = 0;
-- next statement
-- Without these, each deleted row reads all rows of the tenant. An earlier try may have left an index that is not valid.
drop index concurrently if exists ingest.message_duplicate_of;
-- next statement
create index concurrently message_duplicate_of on ingest.message (duplicate_of) where duplicate_of is not null;
-- next statement
drop index concurrently if exists ingest.document_related;
-- next statement
create index concurrently document_related on ingest.document (related_id) where related_id is not null;
-- next statement
reset lock_timeout;
