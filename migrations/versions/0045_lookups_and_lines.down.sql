drop function ingest.take_answers, ingest.resolve_tokens;
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

create or replace function ingest.wait_for_turn(claim bigint, sender text default null) returns void
    language sql security definer
    set search_path = pg_catalog, pg_temp
as $$
    insert into ingest.turn (claim_id, tenant_id, sender_hash)
    select claim, tenant, coalesce(encode(sha256(convert_to(lower(sender), 'UTF8')), 'hex'), '')
    from ingest.current_tenant() as tenant where tenant is not null
    on conflict do nothing
$$;
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
alter table ingest.turn drop column domain_hash;
create or replace function ingest.context_proof(tenant text) returns text
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select encode(sha256(key || sha256(key || convert_to(
        concat_ws(' ', pg_backend_pid(), extract(epoch from transaction_timestamp()), tenant), 'UTF8'))), 'hex')
    from ingest.context_key
$$;
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
            returns table (place integer, tenant_id %1$s, active boolean)
            language sql stable security definer
            set search_path = pg_catalog, pg_temp
            set enable_seqscan = off
            set enable_hashjoin = off
            set enable_mergejoin = off
            as $body$
                select candidate.place::integer, tenant.id,
                    coalesce((to_jsonb(tenant) ->> 'is_active')::boolean, true)
                    and not exists (
                        select from ingest.disabled_tenant as disabled where disabled.tenant_id = tenant.id
                    )
                from unnest(tokens) with ordinality as candidate (token, place)
                join ingest.token as given on given.token = ingest.normal_token(candidate.token)
                    and (given.routes_until is null or given.routes_until > now())
                join %2$s as tenant on tenant.id = given.tenant_id
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
revoke all on function ingest.resolve_tokens, ingest.take_answers from public;
grant execute on function ingest.take_answers to ingest_app;
