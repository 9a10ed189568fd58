-- The look-ups of a mail were planned anew for each mail, and one plan read the whole list of tokens. Statements in plpgsql, each
-- with plain values, keep one plan in a session, on every version of Postgres.

-- As before, with the purpose of the address. Index lookups for each token, with any statistics of the tables: constant work.
drop function ingest.resolve_tokens;
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
        create function ingest.resolve_tokens(tokens text[])
            returns table (place integer, tenant_id %1$s, active boolean, purpose text)
            language plpgsql stable security definer
            set search_path = pg_catalog, pg_temp
            set enable_seqscan = off
            as $body$
            #variable_conflict use_column
            declare
                given ingest.token;
            begin
                for number in 1 .. coalesce(cardinality(tokens), 0) loop
                    select one.* into given from ingest.token as one
                    where one.token = ingest.normal_token(tokens[number])
                        and (one.routes_until is null or one.routes_until > now());
                    continue when not found;
                    select coalesce((to_jsonb(tenant) ->> 'is_active')::boolean, true)
                        and not exists (
                            select from ingest.disabled_tenant as disabled where disabled.tenant_id = tenant.id
                        )
                    into active from %2$s as tenant where tenant.id = given.tenant_id;
                    continue when not found;
                    place := number;
                    tenant_id := given.tenant_id;
                    purpose := given.purpose;
                    return next;
                end loop;
            end
            $body$;
    $ddl$, tenant_id_type, tenants);
end
$$;

create or replace function ingest.route_tokens(
    tokens text[], budget integer, sender text default null, proven boolean default null
)
    returns table (
        place integer, tenant_id ingest.message.tenant_id%type, active boolean, over_budget boolean, purpose text,
        refused boolean
    )
    language plpgsql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        select found.place, found.tenant_id, found.active, ingest.over_budget(found.tenant_id, budget), found.purpose,
            list.mode = 'quarantine' and list.objection is not null
        from ingest.resolve_tokens(tokens) as found
        cross join lateral ingest.sender_objection(found.tenant_id, found.purpose, sender, proven) as list;
end
$$;

-- As before. Nine times for each mail: 14 us in place of 25.
create or replace function ingest.context_proof(tenant text) returns text
    language plpgsql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    secret constant bytea := (select key from ingest.context_key);
begin
    return encode(sha256(secret || sha256(secret || convert_to(
        concat_ws(' ', pg_backend_pid(), extract(epoch from transaction_timestamp()), tenant), 'UTF8'))), 'hex');
end
$$;

-- As before. The copy is looked for first: the plan of an insert from a query was made anew for each mail.
create or replace function ingest.link_copy(
    claim bigint, header text, hash text, arrival text, received timestamptz
) returns boolean
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    tenant constant ingest.message.tenant_id%type := ingest.current_tenant();
    earlier bigint;
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
    select first.id into earlier from ingest.message as first
    where first.tenant_id = tenant and first.sha256 = hash and first.internet_message_id = header
        and first.claim_id <> claim and first.duplicate_of is null and not first.ending
    order by first.id limit 1;
    if not found then
        return false;
    end if;
    insert into ingest.message (claim_id, tenant_id, internet_message_id, subject, sender, trigger, received_at,
        container, blob_name, size, sha256, original, rules_version, search, duplicate_of)
    select claim, first.tenant_id, first.internet_message_id, first.subject, first.sender, arrival, received,
        first.container, first.blob_name, first.size, first.sha256, first.original, first.rules_version, first.search,
        first.id
    from ingest.message as first where first.id = earlier and first.tenant_id = tenant;
    return found;
end
$$;

-- As before, and the answers to mails for one tenant have a limit of their own: one attacked address could use up the answers
-- of all tenants. Mails without a tenant count together.
drop function ingest.take_answers;
create function ingest.take_answers(
    most integer, a_day integer, of_domain integer default null, in_all integer default null,
    of_tenant integer default null
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
        select due.claim_id, due.tenant_id, due.kind, due.recipient_hash, due.recipient from ingest.answer as due
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
            -- By the index of the time: a day has no more rows than the limit of all.
            when (
                select count(*) from ingest.answer as sent
                where sent.tenant_id is not distinct from one.tenant_id and sent.taken_at > now() - interval '1 day'
                    and sent.state in ('sending', 'sent', 'in_doubt')
            ) >= of_tenant then 'tenant'
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

-- As before, and a domain has ten turns in each round of its tenant: a domain that proves any address as its own has any number
-- of senders. The last two labels are the domain. Where strangers share them (co.uk), they share the turns: ten at least.
alter table ingest.turn add column domain_hash text;  -- null: a line of its own, as its sender
create or replace function ingest.wait_for_turn(claim bigint, sender text default null) returns void
    language sql security definer
    set search_path = pg_catalog, pg_temp
as $$
    insert into ingest.turn (claim_id, tenant_id, sender_hash, domain_hash)
    select claim, tenant, coalesce(encode(sha256(convert_to(lower(sender), 'UTF8')), 'hex'), ''),
        encode(sha256(convert_to(lower(substring(sender from '[^@.]+(?:\.[^@.]+)?$')), 'UTF8')), 'hex')
    from ingest.current_tenant() as tenant where tenant is not null
    on conflict do nothing
$$;
create or replace function ingest.give_turns(of_mailbox text, most integer)
    returns table (claim_id bigint, place bigint)
    language sql security definer
    set search_path = pg_catalog, pg_temp
as $$
    with waiting as (
        select turn.claim_id, turn.since, turn.tenant_id, coalesce(turn.domain_hash, turn.sender_hash) as domain,
            row_number() over (
                partition by turn.tenant_id, turn.sender_hash order by turn.since, turn.claim_id
            ) as of_sender
        from ingest.turn join ingest.claim on claim.id = turn.claim_id
        where claim.mailbox = of_mailbox
    ), by_domain as (
        select waiting.*,
            row_number() over (
                partition by waiting.tenant_id, waiting.domain order by waiting.of_sender, waiting.since, waiting.claim_id
            ) as of_domain
        from waiting
    ), in_line as (
        select by_domain.claim_id, by_domain.since,
            row_number() over (
                partition by by_domain.tenant_id
                order by greatest(by_domain.of_sender, (by_domain.of_domain + 9) / 10), by_domain.since, by_domain.claim_id
            ) as round
        from by_domain
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

revoke all on function ingest.resolve_tokens, ingest.take_answers from public;
grant execute on function ingest.take_answers to ingest_app;
