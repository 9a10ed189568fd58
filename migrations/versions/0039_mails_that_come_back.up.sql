-- A mail comes back under its own claim when a person moves it from Deleted Items to the inbox. Its copy was on record, so
-- that nothing was recorded anew, and the mail was deleted, while retention deleted the copy. From here on
-- - a copy is due when its claims rest: ended, before the moment that counts, and taken by no owner since;
-- - a mail with a marked copy is refused, and tried again when the copy is gone;
-- - an owner that took its claim before the rows went, and may have found blobs that are gone, can record nothing.

-- The two conditions under which retention leaves a copy alone: its mail, or a link to it, is newer; a claim does not rest.
create function ingest.is_kept(copy ingest.message, before timestamptz) returns boolean
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select from ingest.message as one join ingest.claim on claim.id = one.claim_id
        where one.tenant_id = copy.tenant_id and (one.id = copy.id or one.duplicate_of = copy.id) and (
            one.stored_at >= before or claim.lease_until is not null or claim.ended_at is null
            or claim.ended_at >= before or claim.state not in ('deleted', 'quarantined', 'gone')
        )
    )
$$;

create function ingest.refuse_ending() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    if exists (
        select from ingest.message as own left join ingest.message as first on first.id = own.duplicate_of
        where own.claim_id = new.claim_id and own.tenant_id = new.tenant_id and (own.ending or first.ending)
    ) then
        -- Trouble to the app: the mail stays in the inbox, and nothing counts against it.
        raise object_in_use using message = 'retention deletes the copy of this mail; the mail is stored after that';
    end if;
    return new;
end
$$;
create trigger message_not_ending before insert on ingest.message
    for each row execute function ingest.refuse_ending();

-- As before, but a mail with a marked copy of its own is refused: nothing is uploaded for such a mail.
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
    if exists (
        select from ingest.message as own left join ingest.message as first on first.id = own.duplicate_of
        where own.claim_id = claim and own.tenant_id = tenant and (own.ending or first.ending)
    ) then
        raise object_in_use using message = 'retention deletes the copy of this mail; the mail is stored after that';
    end if;
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

-- As before, for copies with claims that rest. Rows are locked in one order everywhere: claims by mailbox and message, then
-- messages by id. A claim that is being taken waits, and its owner then finds the mark.
create or replace function ingest.mark_ending(
    tenant ingest.message.tenant_id%type, copies bigint[], before timestamptz
) returns bigint[]
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    marked bigint[];
begin
    perform ingest.open_tenant(tenant);
    perform pg_advisory_xact_lock(keys.key) from (
        select distinct hashtextextended(concat_ws(' ', tenant_id, sha256, internet_message_id), 0) as key
        from ingest.message where tenant_id = tenant and id = any (copies)
        order by key
    ) as keys;
    perform ingest.lock_copies(tenant, copies);
    update ingest.message set ending = true
    where tenant_id = tenant and id = any (copies) and duplicate_of is null and not ending
        and not ingest.is_kept(message, before);
    marked := array(select id from ingest.message where tenant_id = tenant and id = any (copies) and ending);
    perform ingest.close_tenant();
    return marked;
end
$$;

-- For the functions of retention: the claims and messages of copies, and of the links to them.
create function ingest.lock_copies(tenant ingest.message.tenant_id%type, of_copies bigint[]) returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform from ingest.claim
    where id in (
        select claim_id from ingest.message
        where tenant_id = tenant and (id = any (of_copies) or duplicate_of = any (of_copies))
    )
    order by mailbox, message_id for no key update;
    perform from ingest.message
    where tenant_id = tenant and (id = any (of_copies) or duplicate_of = any (of_copies))
    order by id for update;
end
$$;

-- Takes the mark from copies that are protected and have lost no blob.
create function ingest.keep_copies(tenant ingest.message.tenant_id%type, copies bigint[]) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform ingest.open_tenant(tenant);
    perform ingest.lock_copies(tenant, copies);
    update ingest.message set ending = false where tenant_id = tenant and id = any (copies) and ending;
    perform ingest.close_tenant();
end
$$;

-- Of marked copies, with the links to them. Their blobs are gone: an owner that took a claim since then, and that may have
-- found the blobs before, loses the claim. The mail is stored anew by the next owner.
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
    perform ingest.lock_copies(tenant, copies);
    -- A later copy of the same mail is linked to the first one and has its parts from there.
    due := array(
        select one.id from ingest.message as one join ingest.message as first on first.id in (one.id, one.duplicate_of)
        where first.tenant_id = tenant and one.tenant_id = tenant and first.id = any (copies) and first.ending
            and first.stored_at < before
    );
    update ingest.claim
    set fence = nextval('ingest.fence'), lease_until = null, next_try_at = null
    where lease_until is not null and id in (select claim_id from ingest.message where id = any (due));
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
    perform ingest.close_tenant();
    perform ingest.record_action('retention.mails', 'tenant ' || tenant,
        jsonb_build_object('copies', cardinality(due), 'before', before), why, remark);
    return cardinality(due);
end
$$;

-- As before, with locks in one order. A claim that was taken since it was listed stays: deleted under its owner, the mail
-- would have been worked on without a record.
create or replace function ingest.expire_claims(claims bigint[], before timestamptz, why text, remark text)
    returns bigint
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    due bigint[];
begin
    with locked as (
        select id from ingest.claim
        where id = any (claims) and state in ('deleted', 'quarantined', 'gone') and ended_at < before
            and lease_until is null
        order by mailbox, message_id for update
    )
    select coalesce(array_agg(id), '{}') into due from locked;
    delete from ingest.assignment where claim_id = any (due);
    delete from ingest.claim where id = any (due);
    perform ingest.record_action('retention.claims', 'claims',
        jsonb_build_object('claims', cardinality(due), 'before', before), why, remark);
    return cardinality(due);
end
$$;

-- As before, and the tenant's context ends with each function.
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
    delete from ingest.rejection where id in (
        select id from ingest.rejection
        where id = any (rejections) and rejected_at < before and tenant_id is not distinct from tenant
        order by id for update
    );
    get diagnostics gone = row_count;
    perform ingest.close_tenant();
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
        perform ingest.close_tenant();
        return false;
    end if;
    if not exists (select from ingest.withheld where document_id = document and released_at is null) then
        perform pg_notify('ingest_document', document::text);
    end if;
    perform ingest.close_tenant();
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
    perform ingest.close_tenant();
end
$$;

-- Messages are locked first, as by the functions above.
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
    perform from ingest.message where tenant_id = tenant order by id for update;
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
    perform ingest.close_tenant();
    perform ingest.record_action('tenant.forget', 'tenant ' || tenant,
        jsonb_build_object('messages', messages, 'documents', documents, 'rejections', gone_rejections), why, remark);
end
$$;

revoke all on function ingest.is_kept, ingest.refuse_ending, ingest.lock_copies, ingest.keep_copies from public;
grant execute on function ingest.is_kept, ingest.keep_copies to ingest_operator;
