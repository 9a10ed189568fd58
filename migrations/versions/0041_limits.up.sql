-- Answers: a domain that takes mail for any address has any number of senders, so that a limit for each sender is none.
-- Turns: within a tenant the mails of one sender stood before those of all others.
alter table ingest.answer add column domain_hash text;  -- of a taken answer
alter table ingest.turn add column sender_hash text not null default '';
drop function ingest.take_answers;
-- At most `most` answers to mails that have ended, now on their way. In 24 hours a sender gets `a_day` answers, the senders
-- of one domain `of_domain`, and all senders `in_all`. An answer beyond a limit ends as suppressed, and is returned with the name
-- of the limit to a caller that gives the last two. An answer that a process took and did not end within a quarter of an
-- hour is in doubt: that process may have sent it, so no other one does.
create function ingest.take_answers(
    most integer, a_day integer, of_domain integer default null, in_all integer default null
)
    returns table (claim_id bigint, kind text, recipient text, reply jsonb, tries integer, beyond text)
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    one record;
    domain text;
    taken bigint;
    limit_hit text;
begin
    -- Two processes must not both see the last free place.
    perform pg_advisory_xact_lock(hashtextextended('answers', 0));
    update ingest.answer set state = 'in_doubt', ended_at = now(), recipient = null, reply = null
    where answer.claim_id in (
        select lost.claim_id from ingest.answer as lost
        where lost.state = 'sending' and lost.taken_at < now() - interval '15 minutes'
        order by lost.claim_id for update skip locked
    );
    select count(*) into taken from ingest.answer as sent
    where sent.taken_at > now() - interval '1 day' and sent.state in ('sending', 'sent', 'in_doubt');
    for one in
        select due.claim_id, due.kind, due.recipient_hash, due.recipient from ingest.answer as due
        join ingest.claim on claim.id = due.claim_id and claim.state in ('deleted', 'quarantined')
            and claim.lease_until is null
        where due.state = 'queued' and due.next_try_at <= now()
        order by due.next_try_at limit most
        for update of due skip locked
    loop
        domain := encode(sha256(convert_to(lower(substring(one.recipient from '[^@]*$')), 'UTF8')), 'hex');
        limit_hit := case
            when (
                select count(*) from ingest.answer as sent
                where sent.recipient_hash = one.recipient_hash and sent.taken_at > now() - interval '1 day'
                    and sent.state in ('sending', 'sent', 'in_doubt')
            ) >= a_day then 'sender'
            when (
                select count(*) from ingest.answer as sent
                where sent.domain_hash = domain and sent.taken_at > now() - interval '1 day'
                    and sent.state in ('sending', 'sent', 'in_doubt')
            ) >= of_domain then 'domain'
            when taken >= in_all then 'all'
        end;
        if limit_hit is not null then
            update ingest.answer set state = 'suppressed', ended_at = now(), recipient = null, reply = null
            where answer.claim_id = one.claim_id;
            if in_all is not null then
                return query select one.claim_id, one.kind, null::text, null::jsonb, 0, limit_hit;
            end if;
            continue;
        end if;
        taken := taken + 1;
        return query
            update ingest.answer
            set state = 'sending', taken_at = now(), tries = answer.tries + 1, domain_hash = domain
            where answer.claim_id = one.claim_id
            returning answer.claim_id, answer.kind, answer.recipient, answer.reply, answer.tries, null::text;
    end loop;
end
$$;
drop function ingest.wait_for_turn;
-- The claim waits until the sweep gives it a turn, as a mail of the tenant of the caller's context. `sender`: the
-- proven one; without a proof, all senders stand in one line. A hash is kept.
create function ingest.wait_for_turn(claim bigint, sender text default null) returns void
    language sql security definer
    set search_path = pg_catalog, pg_temp
as $$
    insert into ingest.turn (claim_id, tenant_id, sender_hash)
    select claim, tenant, coalesce(encode(sha256(convert_to(lower(sender), 'UTF8')), 'hex'), '')
    from ingest.current_tenant() as tenant where tenant is not null
    on conflict do nothing
$$;
-- The claims of a mailbox that get their turn: the oldest of each tenant, then the second of each, up to `most`. Within a tenant
-- likewise: the oldest of each sender, then the second of each.
create or replace function ingest.give_turns(of_mailbox text, most integer)
    returns table (claim_id bigint, place bigint)
    language sql security definer
    set search_path = pg_catalog, pg_temp
as $$
    with waiting as (
        select turn.claim_id, turn.since, turn.tenant_id,
            row_number() over (
                partition by turn.tenant_id, turn.sender_hash order by turn.since, turn.claim_id
            ) as of_sender
        from ingest.turn join ingest.claim on claim.id = turn.claim_id
        where claim.mailbox = of_mailbox
    ), in_line as (
        select waiting.claim_id, waiting.since,
            row_number() over (
                partition by waiting.tenant_id order by waiting.of_sender, waiting.since, waiting.claim_id
            ) as round
        from waiting
    ), next as (
        select in_line.claim_id, row_number() over (order by round, since, in_line.claim_id) as place from in_line
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
revoke all on function ingest.take_answers, ingest.wait_for_turn from public;
grant execute on function ingest.take_answers, ingest.wait_for_turn to ingest_app;
