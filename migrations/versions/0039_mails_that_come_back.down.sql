drop trigger message_not_ending on ingest.message;
drop function ingest.refuse_ending;
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

create or replace function ingest.mark_ending(tenant ingest.message.tenant_id%type, copies bigint[], before timestamptz)
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

create or replace function ingest.release_document(
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
            and withheld.reason <> 'sender'
        returning reason
    )
    select array_agg(reason order by reason) into reasons from released;
    if reasons is null then
        return false;
    end if;
    if not exists (select from ingest.withheld where document_id = document and released_at is null) then
        perform pg_notify('ingest_document', document::text);
    end if;
    perform ingest.record_action('document.release', 'document ' || document,
        jsonb_build_object('tenant', tenant, 'withheld', reasons), why, remark);
    return true;
end
$$;

create or replace function ingest.holdings(tenant ingest.message.tenant_id%type)
    returns table (messages bigint, documents bigint, containers text[])
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform ingest.open_tenant(tenant);
    return query select (select count(*) from ingest.message where tenant_id = tenant),
        (select count(*) from ingest.document where tenant_id = tenant),
        array(
            select container from ingest.message where tenant_id = tenant
            union select container from ingest.document where tenant_id = tenant
        );
end
$$;

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
    delete from ingest.answer where tenant_id = tenant;
    delete from ingest.answer_rule where tenant_id = tenant;
    delete from ingest.turn where tenant_id = tenant;
    delete from ingest.tenant_hour where tenant_id = tenant;
    delete from ingest.tenant_budget where tenant_id = tenant;
    delete from ingest.old_address where tenant_id = tenant;
    delete from ingest.passed_over where tenant_id = tenant;
    delete from ingest.sender where tenant_id = tenant;
    delete from ingest.sender_list where tenant_id = tenant;
    if (gone_messages, gone_documents) <> (messages, documents) then
        raise object_not_in_prerequisite_state using message = format(
            'the tenant has %s messages and %s documents now, not the confirmed %s and %s: nothing was deleted',
            gone_messages, gone_documents, messages, documents);
    end if;
    perform ingest.record_action('tenant.forget', 'tenant ' || tenant,
        jsonb_build_object('messages', messages, 'documents', documents, 'rejections', gone_rejections), why, remark);
end
$$;

drop function ingest.keep_copies, ingest.lock_copies, ingest.is_kept;
