-- Answers to senders: one row for each mail that gets one, queued with the decision on the mail and due with the mail's
-- end. Only the owner's functions read these tables: an answer names its recipient.
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
        create table ingest.answer (
            claim_id bigint primary key references ingest.claim (id) on delete cascade,
            tenant_id %1$s references %2$s (id) on delete cascade,  -- null: the mail is no tenant's
            kind text not null,
            state text not null default 'queued'
                check (state in ('queued', 'sending', 'sent', 'refused', 'suppressed', 'in_doubt')),
            recipient_hash text not null,          -- kept, for the limit of a day
            recipient text,                        -- this and the rest: null once the answer has ended
            reply jsonb,                           -- what the answer quotes of the mail
            queued_at timestamptz not null default now(),
            taken_at timestamptz,                  -- by a process that sends it
            tries integer not null default 0,
            next_try_at timestamptz not null default now(),
            ended_at timestamptz
        );

        -- The answers that a tenant wants. Without a tenant: those to mails that are no tenant's.
        create table ingest.answer_rule (
            tenant_id %1$s references %2$s (id) on delete cascade,
            kind text not null,
            set_at timestamptz not null default now(),
            set_by text not null,                  -- the operator's database login
            unique nulls not distinct (tenant_id, kind)
        );
    $ddl$, tenant_id_type, tenants);
end
$$;
create index answer_due on ingest.answer (next_try_at) where state in ('queued', 'sending');
create index answer_recipient on ingest.answer (recipient_hash, taken_at) where taken_at is not null;
create index answer_tenant on ingest.answer (tenant_id);
alter table ingest.answer enable row level security;
alter table ingest.answer_rule enable row level security;

-- Queues the first of `kinds` that the context's tenant wants; without a context, that operators want for mails of no
-- tenant. A later decision on the same mail replaces an answer that is not on its way yet. Returns whether one is queued.
create function ingest.queue_answer(claim bigint, kinds text[], sender text, quoted jsonb) returns boolean
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    tenant constant ingest.message.tenant_id%type := ingest.current_tenant();
    wanted text;
begin
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

-- At most `most` answers whose mail has ended, now on their way. A sender gets `a_day` answers in 24 hours; the rest of
-- them ends as suppressed. An answer that a process took and did not end within a quarter of an hour is in doubt: that
-- process may have sent it, so no other one does.
create function ingest.take_answers(most integer, a_day integer)
    returns table (claim_id bigint, kind text, recipient text, reply jsonb, tries integer)
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    one record;
begin
    update ingest.answer set state = 'in_doubt', ended_at = now(), recipient = null, reply = null
    where state = 'sending' and taken_at < now() - interval '15 minutes';
    for one in
        select due.claim_id, due.recipient_hash from ingest.answer as due
        join ingest.claim on claim.id = due.claim_id and claim.state in ('deleted', 'quarantined')
            and claim.lease_until is null
        where due.state = 'queued' and due.next_try_at <= now()
        order by due.next_try_at limit most
        for update of due skip locked
    loop
        -- Two processes must not both see the last free place of one sender.
        perform pg_advisory_xact_lock(hashtextextended('answer ' || one.recipient_hash, 0));
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

-- The end of a sending: `sent`, `refused`, `in_doubt`, or `queued` for another try after `seconds`.
create function ingest.end_answer(claim bigint, outcome text, seconds double precision) returns void
    language sql security definer
    set search_path = pg_catalog, pg_temp
as $$
    update ingest.answer set state = outcome,
        ended_at = case when outcome = 'queued' then null else now() end,
        taken_at = case when outcome = 'queued' then null else taken_at end,
        next_try_at = now() + seconds * interval '1 second',
        recipient = case when outcome = 'queued' then recipient end,
        reply = case when outcome = 'queued' then reply end
    where claim_id = claim and state = 'sending'
$$;

-- For operators.
create function ingest.answer_rules(tenant ingest.message.tenant_id%type) returns setof ingest.answer_rule
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select * from ingest.answer_rule where tenant_id is not distinct from tenant order by kind
$$;

create function ingest.set_answer(
    tenant ingest.message.tenant_id%type, which text, wanted boolean, why text, remark text
) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    delete from ingest.answer_rule where tenant_id is not distinct from tenant and kind = which;
    if wanted then
        insert into ingest.answer_rule (tenant_id, kind, set_by) values (tenant, which, session_user);
    end if;
    perform ingest.record_action('answer.set', coalesce('tenant ' || tenant, 'mails of no tenant'),
        jsonb_build_object('kind', which, 'wanted', wanted), why, remark);
end
$$;

-- As before, and the rows of this migration.
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

revoke all on all functions in schema ingest from public;
grant execute on function ingest.queue_answer, ingest.take_answers, ingest.end_answer to ingest_app;
grant execute on function ingest.answer_rules, ingest.set_answer to ingest_operator;
