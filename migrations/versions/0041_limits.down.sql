drop function ingest.take_answers;
create function ingest.take_answers(most integer, a_day integer)
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
drop function ingest.wait_for_turn;
create function ingest.wait_for_turn(claim bigint) returns void
    language sql security definer
    set search_path = pg_catalog, pg_temp
as $$
    insert into ingest.turn (claim_id, tenant_id)
    select claim, tenant from ingest.current_tenant() as tenant where tenant is not null
    on conflict do nothing
$$;
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
revoke all on function ingest.take_answers, ingest.wait_for_turn from public;
grant execute on function ingest.take_answers, ingest.wait_for_turn to ingest_app;
alter table ingest.turn drop column sender_hash;
alter table ingest.answer drop column domain_hash;
