-- Mails of each tenant in the current hour, the budget of its own, and the claims that wait for their turn. Claims hold
-- no tenant data: the tenant of one that waits stands here. Only the owner's functions read these tables: no role has
-- rights on them, and row-level security without a policy says so once more.
alter table ingest.claim add column waits_since timestamptz;  -- for its tenant's turn

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
        create table ingest.tenant_hour (
            tenant_id %1$s primary key references %2$s (id) on delete cascade,
            hour timestamptz not null,
            mails integer not null                 -- stored in that hour
        );

        create table ingest.tenant_budget (
            tenant_id %1$s primary key references %2$s (id) on delete cascade,
            mails_an_hour integer not null check (mails_an_hour >= 0),
            set_at timestamptz not null default now(),
            set_by text not null                   -- the operator's database login
        );

        create table ingest.turn (
            claim_id bigint primary key references ingest.claim (id) on delete cascade,
            tenant_id %1$s not null references %2$s (id) on delete cascade,
            since timestamptz not null default now()
        );
    $ddl$, tenant_id_type, tenants);
end
$$;
create index turn_tenant on ingest.turn (tenant_id, since);
alter table ingest.tenant_hour enable row level security;
alter table ingest.tenant_budget enable row level security;
alter table ingest.turn enable row level security;

-- Whether the tenant has had its budget of the hour. `budget`: of tenants without one of their own.
create function ingest.over_budget(tenant ingest.message.tenant_id%type, budget integer) returns boolean
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select coalesce((
        select mails from ingest.tenant_hour as counted
        where counted.tenant_id = tenant and counted.hour = date_trunc('hour', now(), 'UTC')
    ), 0) >= coalesce((
        select mails_an_hour from ingest.tenant_budget as own where own.tenant_id = tenant
    ), budget)
$$;

-- One more mail of the tenant in whose context the caller is.
create function ingest.count_mail() returns void
    language sql security definer
    set search_path = pg_catalog, pg_temp
as $$
    insert into ingest.tenant_hour as counted (tenant_id, hour, mails)
    select tenant, date_trunc('hour', now(), 'UTC'), 1 from ingest.current_tenant() as tenant where tenant is not null
    on conflict (tenant_id) do update
    set hour = excluded.hour, mails = case when counted.hour = excluded.hour then counted.mails + 1 else 1 end
$$;

-- The claim waits until the sweep gives it a turn, as a mail of the tenant in whose context the caller is.
create function ingest.wait_for_turn(claim bigint) returns void
    language sql security definer
    set search_path = pg_catalog, pg_temp
as $$
    insert into ingest.turn (claim_id, tenant_id)
    select claim, tenant from ingest.current_tenant() as tenant where tenant is not null
    on conflict do nothing
$$;

-- The claims of a mailbox whose turn comes: the oldest of each tenant, then the second of each, up to `most`.
create function ingest.give_turns(of_mailbox text, most integer)
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
    ), given as (
        delete from ingest.turn where turn.claim_id in (select next.claim_id from next) returning turn.claim_id
    )
    select next.claim_id, next.place from next join given using (claim_id)
$$;

-- For operators.
create function ingest.tenant_load(tenant ingest.message.tenant_id%type)
    returns table (mails_this_hour integer, budget integer, waiting bigint, waiting_since timestamptz)
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select
        coalesce((
            select mails from ingest.tenant_hour as counted
            where counted.tenant_id = tenant and counted.hour = date_trunc('hour', now(), 'UTC')
        ), 0),
        (select mails_an_hour from ingest.tenant_budget as own where own.tenant_id = tenant),
        count(claim.id), min(turn.since)
    from ingest.turn join ingest.claim on claim.id = turn.claim_id and claim.waits_since is not null
    where turn.tenant_id = tenant
$$;

-- Null: the budget of all other tenants again.
create function ingest.set_budget(
    tenant ingest.message.tenant_id%type, mails integer, why text, remark text
) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    delete from ingest.tenant_budget where tenant_id = tenant;
    insert into ingest.tenant_budget (tenant_id, mails_an_hour, set_by)
    select tenant, mails, session_user where mails is not null;
    perform ingest.record_action('tenant.budget', 'tenant ' || tenant,
        jsonb_build_object('mails_an_hour', mails), why, remark);
end
$$;

revoke all on all functions in schema ingest from public;
grant execute on function ingest.over_budget, ingest.count_mail, ingest.wait_for_turn, ingest.give_turns
    to ingest_app;
grant execute on function ingest.tenant_load, ingest.set_budget to ingest_operator;
