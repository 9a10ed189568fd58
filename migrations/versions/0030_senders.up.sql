-- Each tenant's allowed senders. In the mode `hold` a mail of another sender waits until a person of the tenant
-- approves: stored as always, and invisible to the DMS. In the mode `quarantine` such a mail goes to Quarantine. An
-- upload address may carry a purpose, and a purpose may have a list of its own.
alter table ingest.token add column purpose text collate "C"
    constraint token_purpose check (purpose ~ '^[a-z0-9][a-z0-9_-]{0,39}$');

alter table ingest.message
    add column purpose text,                       -- of the upload address that the mail came to
    add column sender_address text,                -- the one address in From, as addresses are compared
    add column sender_proven boolean,              -- DMARC or Microsoft's compauth passed for its domain
    add column held_reason text;                   -- ingest.codes.HeldReason; null: does not wait
alter table ingest.message add constraint message_held_reason
    check (held_reason in ('sender_unknown', 'sender_unproven', 'sender_unclear', 'declined')) not valid;
alter table ingest.document add column purpose text;  -- that of its message

-- A mail that an operator released from Quarantine is let in, from any sender.
alter table ingest.claim add column sender_admitted boolean not null default false;

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
        -- Without a row for its purpose, an address has the tenant's general list, whose purpose is ''.
        create table ingest.sender_list (
            tenant_id %1$s not null references %2$s (id) on delete cascade,
            purpose text collate "C" not null
                constraint sender_list_purpose check (purpose ~ '^([a-z0-9][a-z0-9_-]{0,39})?$'),
            mode text not null constraint sender_list_mode check (mode in ('off', 'hold', 'quarantine')),
            set_at timestamptz not null default now(),
            set_by text not null,                  -- the database login
            primary key (tenant_id, purpose)
        );

        create table ingest.sender (
            tenant_id %1$s not null references %2$s (id) on delete cascade,
            purpose text collate "C" not null
                constraint sender_purpose check (purpose ~ '^([a-z0-9][a-z0-9_-]{0,39})?$'),
            entry text collate "C" not null,       -- an address or a domain, as ingest.normal_sender writes it
            added_at timestamptz not null default now(),
            added_by text not null,                -- the database login
            remark text not null,                  -- free text of the caller, such as the DMS's user
            primary key (tenant_id, purpose, entry)
        );
    $ddl$, tenant_id_type, tenants);
end
$$;
alter table ingest.sender_list enable row level security;  -- both for the owner's functions alone
alter table ingest.sender enable row level security;

-- An entry as it is compared: an address, or a domain without an @. Domains of other scripts are written in their
-- ASCII form (xn--…): two domains that look alike are two entries.
create function ingest.normal_sender(entry text) returns text
    language plpgsql immutable
    set search_path = pg_catalog, pg_temp
as $$
declare
    normal constant text := lower(ltrim(btrim(entry, E' \t\r\n'), '@') collate "C");
    domain constant text := substring(normal from '[^@]*$');
begin
    if normal is null or length(normal) > 320
        or normal !~ '^([^@[:space:][:cntrl:]<>()",;]{1,64}@)?[^@]+$'
        or domain !~ '^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'
    then
        raise invalid_parameter_value using
            message = format('%L is neither a mail address nor a domain in its ASCII form', left(entry, 100));
    end if;
    return normal;
end
$$;

-- The mode of the list that counts for mail to an address of this purpose, and the objection to the sender: null where
-- the list is off or lets the sender in.
create function ingest.sender_objection(
    tenant ingest.message.tenant_id%type, for_purpose text, address text, proven boolean,
    out mode text, out objection text
)
    language plpgsql stable security definer
    set search_path = pg_catalog, pg_temp
    set enable_seqscan = off
as $$
declare
    list ingest.sender_list;
begin
    select one.* into list from ingest.sender_list as one
    where one.tenant_id = tenant and one.purpose in (coalesce(for_purpose, ''), '')
    order by one.purpose desc limit 1;
    mode := coalesce(list.mode, 'off');
    if mode = 'off' then
        return;
    end if;
    if address is null then
        objection := 'sender_unclear';
    elsif not exists (
        select from ingest.sender as one
        where one.tenant_id = tenant and one.purpose = list.purpose
            and one.entry in (address, substring(address from '[^@]*$'))
    ) then
        objection := 'sender_unknown';
    elsif proven is not true then
        objection := 'sender_unproven';
    end if;
end
$$;

-- As before, with the purpose of the address, and with the answer whether its list sends the sender's mail to
-- Quarantine. A caller that asks without a sender reads no answer.
drop function ingest.route_tokens, ingest.route_addresses;
create function ingest.route_tokens(
    tokens text[], budget integer, sender text default null, proven boolean default null
)
    returns table (
        place integer, tenant_id ingest.message.tenant_id%type, active boolean, over_budget boolean, purpose text,
        refused boolean
    )
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
    set enable_seqscan = off
as $$
    select found.place, found.tenant_id, found.active, ingest.over_budget(found.tenant_id, budget), given.purpose,
        list.mode = 'quarantine' and list.objection is not null
    from ingest.resolve_tokens(tokens) as found
    left join ingest.token as given on given.token = ingest.normal_token(tokens[found.place])
    cross join lateral ingest.sender_objection(found.tenant_id, given.purpose, sender, proven) as list
$$;

create function ingest.route_addresses(
    addresses text[], budget integer, sender text default null, proven boolean default null
)
    returns table (
        place integer, tenant_id ingest.message.tenant_id%type, active boolean, over_budget boolean, purpose text,
        refused boolean
    )
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select found.place, found.tenant_id, found.active, ingest.over_budget(found.tenant_id, budget), null,
        list.mode = 'quarantine' and list.objection is not null
    from ingest.resolve_addresses(addresses) as found
    cross join lateral ingest.sender_objection(found.tenant_id, null, sender, proven) as list
$$;

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
        -- The addresses of a tenant that route: the one in dms_tenant, those added beside it, those that end soon.
        create function ingest.upload_addresses(of_tenant %1$s)
            returns table (token text, purpose text, main boolean, given_at timestamptz, routes_until timestamptz)
            language sql stable security definer
            set search_path = pg_catalog, pg_temp
            as $body$
                select given.token, given.purpose, given.token = ingest.normal_token(tenant.ingest_token::text),
                    given.given_at, given.routes_until
                from ingest.token as given join %2$s as tenant on tenant.id = given.tenant_id
                where given.tenant_id = of_tenant and (given.routes_until is null or given.routes_until > now())
                order by 3 desc, given.given_at, given.token
            $body$;
    $ddl$, tenant_id_type, tenants);
end
$$;

-- The waiting room. The database decides as the row comes, in both modes: where a mail goes to several tenants, or the
-- mode was set a moment ago, Quarantine is no place for one tenant's copy.
create function ingest.hold_message() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    select list.objection into new.held_reason
    from ingest.sender_objection(new.tenant_id, new.purpose, new.sender_address, new.sender_proven) as list;
    if new.held_reason is not null and (
        exists (select from ingest.claim where id = new.claim_id and sender_admitted)
        or exists (select from ingest.assignment where claim_id = new.claim_id and tenant_id = new.tenant_id)
    ) then
        new.held_reason := null;
    end if;
    return new;
end
$$;
-- A second row of the same mail has no documents of its own.
create trigger message_held before insert on ingest.message
    for each row when (new.duplicate_of is null) execute function ingest.hold_message();

-- The DMS does not see a document with a row in ingest.withheld.
create function ingest.take_after_message() returns trigger
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
    return new;
end
$$;
create trigger document_of_message before insert on ingest.document
    for each row execute function ingest.take_after_message();

-- A listener hears of a document when the DMS may see it.
create or replace function ingest.announce_document() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    if not exists (
        select from ingest.withheld where withheld.document_id = new.id and withheld.released_at is null
    ) then
        perform pg_notify('ingest_document', new.id::text);
    end if;
    return null;
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
        ), 'not_scanned') as malware_verdict,
        document.purpose
    from ingest.document join ingest.message on message.id = document.message_id;

create or replace view ingest.mail_history with (security_invoker = true) as
    select message.tenant_id, message.claim_id as number, message.received_at, message.stored_at, message.sender,
        message.subject, counted.documents, counted.documents - counted.seen as withheld,
        'stored' as state, null::text as reason, message.search, message.held_reason
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
        rejection.subject, 0::bigint, 0::bigint, 'quarantined', rejection.reason, rejection.search, null
    from ingest.rejection
    where rejection.tenant_id is not null and exists (
        select from ingest.claim
        where claim.id = rejection.claim_id and claim.state = 'quarantined' and claim.reason = rejection.reason
    );

-- The mails that wait for a decision: of a tenant's own users, or of an operator.
create view ingest.held with (security_invoker = true) as
    select message.claim_id as number, message.id as message_id, message.tenant_id, message.purpose,
        message.held_reason, message.sender, message.sender_address, message.sender_proven, message.subject,
        message.received_at, message.stored_at,
        array(
            select part.name from ingest.part
            where part.message_id = message.id and part.disposition = 'document' order by part.position
        ) as documents
    from ingest.message where message.held_reason <> 'declined';

-- The lists and the waiting room, for operators and for the DMS. Each change is recorded with the login, a reason and
-- the caller's own words.
create function ingest.sender_lists(of_tenant ingest.message.tenant_id%type)
    returns table (purpose text, mode text, set_at timestamptz, set_by text, entries bigint)
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select purpose, coalesce(list.mode, 'off'), list.set_at, list.set_by, coalesce(counted.entries, 0)
    from (select * from ingest.sender_list where tenant_id = of_tenant) as list
    full join (
        select one.purpose, count(*) as entries from ingest.sender as one where one.tenant_id = of_tenant group by 1
    ) as counted using (purpose)
    order by purpose
$$;

create function ingest.senders(of_tenant ingest.message.tenant_id%type, at_most integer)
    returns table (purpose text, entry text, added_at timestamptz, added_by text, remark text)
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select one.purpose, one.entry, one.added_at, one.added_by, one.remark from ingest.sender as one
    where one.tenant_id = of_tenant order by one.purpose, one.entry limit at_most
$$;

-- For the functions below: the held messages get another reason, or none, which shows their documents to the DMS.
-- Returns the number of documents.
create function ingest.set_held(tenant ingest.message.tenant_id%type, messages bigint[], reason text) returns integer
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    documents uuid[];
begin
    perform ingest.open_tenant(tenant);
    update ingest.message set held_reason = set_held.reason where id = any(messages) and tenant_id = tenant;
    documents := array(
        select document.id from ingest.document where message_id = any(messages) and tenant_id = tenant
    );
    if set_held.reason is null then
        delete from ingest.withheld
        where document_id = any(documents) and tenant_id = tenant and withheld.reason = 'sender';
        perform pg_notify('ingest_document', shown::text) from unnest(documents) as shown
        where not exists (select from ingest.withheld where document_id = shown and released_at is null);
    end if;
    perform ingest.close_tenant();
    return cardinality(documents);
end
$$;

create function ingest.close_tenant() returns void
    language sql
    set search_path = pg_catalog, pg_temp
as $$
    select set_config('ingest.tenant_id', '', true), set_config('ingest.tenant_proof', '', true);
$$;

-- Returns the number of new entries. A mail that waits because its proven sender was unknown is approved with it.
create function ingest.allow_senders(
    tenant ingest.message.tenant_id%type, for_purpose text, entries text[], why text, remark text
) returns integer
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    added integer;
    let_in bigint[];
begin
    insert into ingest.sender (tenant_id, purpose, entry, added_by, remark)
    select distinct tenant, coalesce(for_purpose, ''), ingest.normal_sender(one), session_user,
        coalesce(allow_senders.remark, '')
    from unnest(entries) as one on conflict do nothing;
    get diagnostics added = row_count;
    perform ingest.open_tenant(tenant);
    let_in := array(
        select message.id from ingest.message
        cross join lateral ingest.sender_objection(
            message.tenant_id, message.purpose, message.sender_address, message.sender_proven
        ) as list
        where message.tenant_id = tenant and message.held_reason = 'sender_unknown' and list.objection is null
            and list.mode <> 'off'
    );
    perform ingest.set_held(tenant, let_in, null);
    perform ingest.record_action('senders.allow', 'tenant ' || tenant, jsonb_build_object(
        'purpose', coalesce(for_purpose, ''), 'added', added, 'approved', to_jsonb(let_in),
        'entries', case when cardinality(entries) <= 100 then to_jsonb(entries) end
    ), coalesce(why, ''), coalesce(allow_senders.remark, ''));
    return added;
end
$$;

-- Returns the number of entries that are gone. Mails that are stored stay as they are.
create function ingest.remove_senders(
    tenant ingest.message.tenant_id%type, for_purpose text, entries text[], why text, remark text
) returns integer
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    removed integer;
begin
    delete from ingest.sender as one
    where one.tenant_id = tenant and one.purpose = coalesce(for_purpose, '')
        and one.entry in (select ingest.normal_sender(entry) from unnest(entries) as entry);
    get diagnostics removed = row_count;
    perform ingest.record_action('senders.remove', 'tenant ' || tenant, jsonb_build_object(
        'purpose', coalesce(for_purpose, ''), 'removed', removed, 'entries', to_jsonb(entries)
    ), coalesce(why, ''), coalesce(remark, ''));
    return removed;
end
$$;

-- A null mode: the purpose has no list of its own any more; its addresses have the general list, which is `off`
-- without a mode. A mail that is stored stays as it is.
create function ingest.set_sender_mode(
    tenant ingest.message.tenant_id%type, for_purpose text, new_mode text, why text, remark text
) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    delete from ingest.sender_list as one where one.tenant_id = tenant and one.purpose = coalesce(for_purpose, '');
    insert into ingest.sender_list (tenant_id, purpose, mode, set_by)
    select tenant, coalesce(for_purpose, ''), new_mode, session_user where new_mode is not null;
    perform ingest.record_action('senders.mode', 'tenant ' || tenant,
        jsonb_build_object('purpose', coalesce(for_purpose, ''), 'mode', new_mode), coalesce(why, ''), coalesce(remark, ''));
end
$$;

-- One decision on a mail that waits: `approve` shows its documents to the DMS, `approve_sender` lets the sender in for
-- ever as well, `decline` takes the mail out of the waiting room and keeps its documents hidden. A declined mail can
-- still be approved. Returns the number of documents.
create function ingest.decide_held(
    tenant ingest.message.tenant_id%type, message_id bigint, decision text, why text, remark text
) returns integer
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    held ingest.message;
    documents integer;
begin
    perform ingest.open_tenant(tenant);
    select one.* into held from ingest.message as one
    where one.id = decide_held.message_id and one.tenant_id = tenant and one.held_reason is not null for update;
    perform ingest.close_tenant();
    if held.id is null then
        raise no_data_found using message = 'the tenant has no such mail that waits';
    end if;
    if decision not in ('approve', 'approve_sender', 'decline') or decision is null then
        raise invalid_parameter_value using message = 'a decision is approve, approve_sender or decline';
    end if;
    if decision = 'approve_sender' and (held.sender_address is null or held.sender_proven is not true) then
        raise object_not_in_prerequisite_state using
            message = 'the sender of this mail is not proven: approve the mail alone';
    end if;
    documents := ingest.set_held(tenant, array[held.id], case when decision = 'decline' then 'declined' end);
    if decision = 'approve_sender' then
        perform ingest.allow_senders(tenant, (
            select one.purpose from ingest.sender_list as one
            where one.tenant_id = tenant and one.purpose = held.purpose
        ), array[held.sender_address], why, remark);
    end if;
    perform ingest.record_action('mail.' || decision, 'message ' || held.claim_id,
        jsonb_build_object('tenant', tenant, 'was', held.held_reason, 'documents', documents),
        coalesce(why, ''), coalesce(remark, ''));
    return documents;
end
$$;

-- Upload addresses beside the one in dms_tenant. A token is never in the record of actions.
create function ingest.add_upload_address(
    tenant ingest.message.tenant_id%type, with_purpose text, why text, remark text
) returns text
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    fresh constant text := replace(gen_random_uuid()::text, '-', '');
begin
    insert into ingest.token (token, tenant_id, purpose) values (fresh, tenant, with_purpose);
    perform ingest.record_action('address.give', 'tenant ' || tenant,
        jsonb_build_object('purpose', with_purpose), why, remark);
    return fresh;
end
$$;

-- Mail that is stored keeps the purpose that it came with. A null purpose takes the purpose away.
create function ingest.set_address_purpose(
    tenant ingest.message.tenant_id%type, of_token text, new_purpose text, why text, remark text
) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    update ingest.token set purpose = new_purpose
    where token = ingest.normal_token(of_token) and tenant_id = tenant;
    if not found then
        raise no_data_found using message = 'the tenant has no such address';
    end if;
    perform ingest.record_action('address.purpose', 'tenant ' || tenant,
        jsonb_build_object('purpose', new_purpose), why, remark);
end
$$;

-- The end of an address that was added; the one in dms_tenant is rotated.
create function ingest.end_upload_address(
    tenant ingest.message.tenant_id%type, of_token text, grace interval, why text, remark text
) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    ended ingest.token;
begin
    if exists (
        select from ingest.upload_addresses(tenant) as one where one.main and one.token = ingest.normal_token(of_token)
    ) then
        raise object_not_in_prerequisite_state using
            message = 'this is the tenant''s main address: rotate it, or disable the tenant';
    end if;
    update ingest.token set routes_until = least(coalesce(routes_until, 'infinity'), now() + grace)
    where token = ingest.normal_token(of_token) and tenant_id = tenant
    returning * into ended;
    if ended.token is null then
        raise no_data_found using message = 'the tenant has no such address';
    end if;
    perform ingest.record_action('address.end', 'tenant ' || tenant, jsonb_build_object(
        'purpose', ended.purpose, 'grace_seconds', extract(epoch from grace)::bigint), why, remark);
end
$$;

-- The old token routes for thirty more days, or as long as the setting ingest.token_grace says. The new one has the
-- purpose of the old one.
create or replace function ingest.record_token() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    grace interval := coalesce(nullif(current_setting('ingest.token_grace', true), ''), '30 days')::interval;
    given text := ingest.normal_token(new.ingest_token::text);
    kept text;
begin
    if tg_op = 'UPDATE' then
        if given = ingest.normal_token(old.ingest_token::text) then
            return null;
        end if;
        update ingest.token set routes_until = now() + grace
        where token = ingest.normal_token(old.ingest_token::text) returning purpose into kept;
    end if;
    insert into ingest.token (token, tenant_id, purpose) values (given, new.id, kept);
    return null;
exception
    when unique_violation then
        raise unique_violation using
            message = 'this ingest_token has been given before: tokens are never given twice',
            hint = 'Leave ingest_token out, or set it to DEFAULT, and a fresh one is made.',
            constraint = 'token_pkey', table = 'token', schema = 'ingest';
end
$$;

-- As before, and the lists of senders.
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

revoke all on all functions in schema ingest from public;
grant execute on function ingest.route_tokens, ingest.route_addresses to ingest_app;
grant select (held_reason) on ingest.message to ingest_app;
grant select on ingest.held to ingest_reader, ingest_operator;
grant execute on function ingest.sender_lists, ingest.senders, ingest.allow_senders,
    ingest.remove_senders, ingest.set_sender_mode, ingest.decide_held, ingest.upload_addresses
    to ingest_reader, ingest_operator;
grant execute on function ingest.add_upload_address, ingest.set_address_purpose, ingest.end_upload_address
    to ingest_operator;
