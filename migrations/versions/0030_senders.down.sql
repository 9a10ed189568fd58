-- Every document is visible again, a declined mail's too, and every address routes without a purpose. Addresses that
-- were added beside the one in dms_tenant go on routing.
delete from ingest.withheld where reason = 'sender';
drop view ingest.held;
drop view ingest.delivered;
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
        message.subject, message.sender, message.internet_message_id, message.received_at,
        document.active_content,
        coalesce((
            select scan.verdict from ingest.scan
            where scan.blob_name = document.blob_name and scan.container = document.container
        ), 'not_scanned') as malware_verdict
    from ingest.document join ingest.message on message.id = document.message_id;
grant select on ingest.delivered to ingest_reader, ingest_operator;
drop view ingest.mail_history;
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
grant select on ingest.mail_history to ingest_reader, ingest_operator;
drop trigger document_of_message on ingest.document;
drop trigger message_held on ingest.message;
create or replace function ingest.announce_document() returns trigger
    language plpgsql security invoker
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform pg_notify('ingest_document', new.id::text);
    return null;
end
$$;

drop function ingest.add_upload_address, ingest.set_address_purpose, ingest.end_upload_address,
    ingest.upload_addresses, ingest.decide_held, ingest.set_sender_mode, ingest.remove_senders, ingest.allow_senders,
    ingest.set_held, ingest.close_tenant, ingest.senders, ingest.sender_lists,
    ingest.take_after_message, ingest.hold_message;
drop function ingest.route_tokens, ingest.route_addresses;
create function ingest.route_tokens(tokens text[], budget integer)
    returns table (place integer, tenant_id ingest.message.tenant_id%type, active boolean, over_budget boolean)
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select place, tenant_id, active, ingest.over_budget(tenant_id, budget) from ingest.resolve_tokens(tokens)
$$;

create function ingest.route_addresses(addresses text[], budget integer)
    returns table (place integer, tenant_id ingest.message.tenant_id%type, active boolean, over_budget boolean)
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select place, tenant_id, active, ingest.over_budget(tenant_id, budget) from ingest.resolve_addresses(addresses)
$$;

create or replace function ingest.record_token() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    grace interval := coalesce(nullif(current_setting('ingest.token_grace', true), ''), '30 days')::interval;
    given text := ingest.normal_token(new.ingest_token::text);
begin
    if tg_op = 'UPDATE' then
        if given = ingest.normal_token(old.ingest_token::text) then
            return null;
        end if;
        update ingest.token set routes_until = now() + grace
        where token = ingest.normal_token(old.ingest_token::text);
    end if;
    insert into ingest.token (token, tenant_id) values (given, new.id);
    return null;
exception
    when unique_violation then
        raise unique_violation using
            message = 'this ingest_token has been given before: tokens are never given twice',
            hint = 'Leave ingest_token out, or set it to DEFAULT, and a fresh one is made.',
            constraint = 'token_pkey', table = 'token', schema = 'ingest';
end
$$;

drop function ingest.sender_objection, ingest.normal_sender;
drop table ingest.sender, ingest.sender_list;
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

alter table ingest.claim drop column sender_admitted;
alter table ingest.document drop column purpose;
alter table ingest.message
    drop column held_reason,
    drop column sender_proven,
    drop column sender_address,
    drop column purpose;
alter table ingest.token drop column purpose;
revoke all on all functions in schema ingest from public;
grant execute on function ingest.route_tokens, ingest.route_addresses to ingest_app;
