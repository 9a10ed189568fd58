-- Two sessions that took the same rows in two orders waited for each other, until Postgres ended one of them. From here on
-- each function takes its locks in one order: the waiting room of a tenant, claims by mailbox and message, messages by id,
-- then the rows below a message; answers behind one lock for all; the record of actions last.

-- The lock of a tenant's waiting room and lists of senders: exclusive for a change, shared for a mail that would wait.
create function ingest.waiting_room(tenant ingest.message.tenant_id%type) returns bigint
    language sql immutable
    set search_path = pg_catalog, pg_temp
as $$
    select hashtextextended('waiting room ' || tenant, 0)
$$;
create function ingest.enter_waiting_room(tenant ingest.message.tenant_id%type) returns void
    language sql
    set search_path = pg_catalog, pg_temp
as $$
    select pg_advisory_xact_lock(ingest.waiting_room(tenant))
$$;

create or replace function ingest.allow_senders(
    tenant ingest.message.tenant_id%type, for_purpose text, entries text[], why text, remark text
) returns integer
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    added integer;
    let_in bigint[];
begin
    perform ingest.enter_waiting_room(tenant);
    insert into ingest.sender (tenant_id, purpose, entry, added_by, remark)
    select distinct tenant, coalesce(for_purpose, ''), ingest.normal_sender(one), session_user,
        coalesce(allow_senders.remark, '')
    from unnest(entries) as one order by 3 on conflict do nothing;
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

create or replace function ingest.remove_senders(
    tenant ingest.message.tenant_id%type, for_purpose text, entries text[], why text, remark text
) returns integer
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    removed integer;
begin
    perform ingest.enter_waiting_room(tenant);
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

create or replace function ingest.set_sender_mode(
    tenant ingest.message.tenant_id%type, for_purpose text, new_mode text, why text, remark text
) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform ingest.enter_waiting_room(tenant);
    delete from ingest.sender_list as one where one.tenant_id = tenant and one.purpose = coalesce(for_purpose, '');
    insert into ingest.sender_list (tenant_id, purpose, mode, set_by)
    select tenant, coalesce(for_purpose, ''), new_mode, session_user where new_mode is not null;
    perform ingest.record_action('senders.mode', 'tenant ' || tenant,
        jsonb_build_object('purpose', coalesce(for_purpose, ''), 'mode', new_mode), coalesce(why, ''), coalesce(remark, ''));
end
$$;

create or replace function ingest.decide_held(
    tenant ingest.message.tenant_id%type, message_id bigint, decision text, why text, remark text
) returns integer
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    held ingest.message;
    documents integer;
begin
    perform ingest.enter_waiting_room(tenant);
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

create or replace function ingest.set_held(tenant ingest.message.tenant_id%type, messages bigint[], reason text) returns integer
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    documents uuid[];
begin
    perform ingest.open_tenant(tenant);
    perform from ingest.message where id = any(messages) and tenant_id = tenant order by id for update;
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

-- A mail that would wait looks again once no change of the list is under way.
create or replace function ingest.hold_message() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    select list.objection into new.held_reason
    from ingest.sender_objection(new.tenant_id, new.purpose, new.sender_address, new.sender_proven) as list;
    if new.held_reason is not null then
        -- The sender may be let in at this moment: such a mail is not among those that wait, and none approves it later.
        perform pg_advisory_xact_lock_shared(ingest.waiting_room(new.tenant_id));
        select list.objection into new.held_reason
        from ingest.sender_objection(new.tenant_id, new.purpose, new.sender_address, new.sender_proven) as list;
    end if;
    if new.held_reason is not null and (
        exists (select from ingest.claim where id = new.claim_id and sender_admitted)
        or exists (select from ingest.assignment where claim_id = new.claim_id and tenant_id = new.tenant_id)
    ) then
        new.held_reason := null;
    end if;
    return new;
end
$$;

create or replace function ingest.queue_answer(claim bigint, kinds text[], sender text, quoted jsonb) returns boolean
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    tenant constant ingest.message.tenant_id%type := ingest.current_tenant();
    wanted text;
begin
    -- The claim before the answer: an owner that quarantines the mail has its claim already.
    perform from ingest.claim where id = queue_answer.claim for no key update;
    -- The documents are in the tenant's waiting room: no other answer is true.
    if exists (
        select from ingest.message
        where message.claim_id = queue_answer.claim and message.tenant_id = tenant and held_reason is not null
    ) then
        kinds := array['awaits_approval'];
    end if;
    select candidate.kind into wanted
    from unnest(kinds) with ordinality as candidate (kind, place)
    join ingest.answer_rule as rule on rule.kind = candidate.kind and rule.tenant_id is not distinct from tenant
    order by candidate.place limit 1;
    if wanted is null then
        -- Another tenant's copy of the mail may have an answer: only a tenant's own goes.
        delete from ingest.answer where claim_id = claim and state = 'queued'
            and (tenant_id is null or tenant_id = tenant);
        return false;
    end if;
    insert into ingest.answer (claim_id, tenant_id, kind, recipient_hash, recipient, reply)
    values (claim, tenant, wanted, encode(sha256(convert_to(lower(sender), 'UTF8')), 'hex'), sender, quoted)
    on conflict (claim_id) do update
    set tenant_id = excluded.tenant_id, kind = excluded.kind, recipient_hash = excluded.recipient_hash,
        recipient = excluded.recipient, reply = excluded.reply
    where answer.state = 'queued' and (answer.tenant_id is null or answer.tenant_id = tenant);
    return true;
end
$$;

-- One process takes at a time, for milliseconds.
create or replace function ingest.take_answers(most integer, a_day integer)
    returns table (claim_id bigint, kind text, recipient text, reply jsonb, tries integer)
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    one record;
begin
    -- Two processes must not both see the last free place of one sender.
    perform pg_advisory_xact_lock(hashtextextended('answers', 0));
    update ingest.answer set state = 'in_doubt', ended_at = now(), recipient = null, reply = null
    where answer.claim_id in (
        select lost.claim_id from ingest.answer as lost
        where lost.state = 'sending' and lost.taken_at < now() - interval '15 minutes'
        order by lost.claim_id for update skip locked
    );
    for one in
        select due.claim_id, due.recipient_hash from ingest.answer as due
        join ingest.claim on claim.id = due.claim_id and claim.state in ('deleted', 'quarantined')
            and claim.lease_until is null
        where due.state = 'queued' and due.next_try_at <= now()
        order by due.next_try_at limit most
        for update of due skip locked
    loop
        if (
            select count(*) from ingest.answer as sent
            where sent.recipient_hash = one.recipient_hash and sent.taken_at > now() - interval '1 day'
                and sent.state in ('sending', 'sent', 'in_doubt')
        ) >= a_day then
            update ingest.answer set state = 'suppressed', ended_at = now(), recipient = null, reply = null
            where answer.claim_id = one.claim_id;
            continue;
        end if;
        return query
            update ingest.answer set state = 'sending', taken_at = now(), tries = answer.tries + 1
            where answer.claim_id = one.claim_id
            returning answer.claim_id, answer.kind, answer.recipient, answer.reply, answer.tries;
    end loop;
end
$$;

-- A turn that another sweep is giving is passed over.
create or replace function ingest.give_turns(of_mailbox text, most integer)
    returns table (claim_id bigint, place bigint)
    language sql security definer
    set search_path = pg_catalog, pg_temp
as $$
    with waiting as (
        select turn.claim_id, turn.since,
            row_number() over (partition by turn.tenant_id order by turn.since, turn.claim_id) as round
        from ingest.turn join ingest.claim on claim.id = turn.claim_id
        where claim.mailbox = of_mailbox
    ), next as (
        select waiting.claim_id, row_number() over (order by round, since, waiting.claim_id) as place from waiting
        order by place limit most
    ), locked as (
        select turn.claim_id from ingest.turn
        where turn.claim_id in (select next.claim_id from next)
        order by turn.claim_id for update skip locked
    ), given as (
        delete from ingest.turn where turn.claim_id in (select locked.claim_id from locked) returning turn.claim_id
    )
    select next.claim_id, next.place from next join given using (claim_id)
$$;

-- Two owners of one claim, of which one is late, follow each other.
create or replace function ingest.note_passed_over(claim bigint, proofs text[], whys text[]) returns void
    language sql security definer
    set search_path = pg_catalog, pg_temp
as $$
    select from ingest.claim where id = note_passed_over.claim for no key update;
    delete from ingest.passed_over where claim_id = claim;
    insert into ingest.passed_over (claim_id, place, tenant_id, why)
    select claim, given.place, coalesce(
        (select tenant_id from ingest.resolve_tokens(array[given.proof]) limit 1),
        (select tenant_id from ingest.resolve_addresses(array[given.proof]) limit 1)
    ), given.why
    from unnest(proofs, whys) with ordinality as given (proof, why, place);
$$;

revoke all on function ingest.waiting_room, ingest.enter_waiting_room from public;
