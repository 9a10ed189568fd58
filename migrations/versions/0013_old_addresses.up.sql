-- Addresses that tenants had before, for mail that was redirected without a trace of the token. Addresses only, never
-- credentials. Nothing is matched before an operator has confirmed an address, and nothing after its end. A row stays
-- when its address is removed: it is the record of who did what.
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
        create table ingest.old_address (
            id bigint generated always as identity primary key,
            address text collate "C" not null,     -- in lower case, as addresses are compared
            tenant_id %1$s not null references %2$s (id) on delete cascade,
            source text not null check (source in ('operator', 'csv', 'dms_emailconfig')),
            added_at timestamptz not null default now(),
            added_by text not null,                -- the operators' database logins
            confirmed_at timestamptz,
            confirmed_by text,
            routes_until timestamptz,              -- the end of a confirmed one
            removed_at timestamptz,
            removed_by text,
            constraint old_address_lower check (address = lower(address)),
            constraint old_address_confirmed check (
                (confirmed_at is null) = (routes_until is null) and (confirmed_at is null) = (confirmed_by is null)
            ),
            constraint old_address_removed check ((removed_at is null) = (removed_by is null))
        );

        -- Whether a tenant may receive. is_active is read through jsonb, as not every DMS has that column.
        create function ingest.may_receive(tenant %1$s) returns boolean
            language sql stable security definer
            set search_path = pg_catalog, pg_temp
            as $body$
                select coalesce((to_jsonb(one) ->> 'is_active')::boolean, true)
                    and not exists (select from ingest.disabled_tenant where disabled_tenant.tenant_id = one.id)
                from %2$s as one where one.id = tenant
            $body$;
    $ddl$, tenant_id_type, tenants);
end
$$;
alter table ingest.old_address enable row level security;  -- for the owner's functions alone
create unique index old_address_of_tenant on ingest.old_address (address, tenant_id) where removed_at is null;
-- One tenant at most gets the mail of an address.
create unique index old_address_routes on ingest.old_address (address)
    where confirmed_at is not null and removed_at is null;
create index old_address_tenant on ingest.old_address (tenant_id);

-- The tenants whose old addresses these are. Any stranger can write an address into To and Cc: it proves no more than
-- that the writer knows it, as it did for the old mailbox.
create function ingest.resolve_addresses(addresses text[])
    returns table (place integer, tenant_id ingest.message.tenant_id%type, active boolean)
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
    set enable_seqscan = off
    set enable_hashjoin = off
    set enable_mergejoin = off
as $$
    select candidate.place::integer, old.tenant_id, ingest.may_receive(old.tenant_id)
    from unnest(addresses) with ordinality as candidate (address, place)
    join ingest.old_address as old on old.address = lower(candidate.address collate "C")
        and old.confirmed_at is not null and old.removed_at is null and old.routes_until > now()
$$;

-- As before, and against a confirmed old address. An assignment proves for a day: a forgotten one must not open the
-- tenant for ever.
create or replace function ingest.enter_tenant(claim bigint, tenant ingest.message.tenant_id%type, token text)
    returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    if not exists (
        select from ingest.token as given
        where given.token = ingest.normal_token(enter_tenant.token) and given.tenant_id = enter_tenant.tenant
            and (given.routes_until is null or given.routes_until > now())
    ) and not exists (
        select from ingest.assignment as decided
        where decided.claim_id = enter_tenant.claim and decided.tenant_id = enter_tenant.tenant
            and decided.assigned_at > now() - interval '1 day'
    ) and not exists (
        select from ingest.resolve_addresses(array[enter_tenant.token]) as old
        where old.tenant_id = enter_tenant.tenant
    ) then
        raise insufficient_privilege using
            message = 'neither a token nor an assignment proves that the message is for this tenant';
    end if;
    perform ingest.open_tenant(enter_tenant.tenant);
end
$$;

-- For operators, each action on the record.
create function ingest.old_addresses(of_tenant ingest.message.tenant_id%type, with_removed boolean, at_most integer)
    returns setof ingest.old_address
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select * from ingest.old_address
    where (of_tenant is null or tenant_id = of_tenant) and (with_removed or removed_at is null)
    order by tenant_id, address, id limit at_most
$$;

-- Returns true where the address was not on record for the tenant.
create function ingest.add_old_address(
    new_address text, tenant ingest.message.tenant_id%type, origin text, why text, remark text
) returns boolean
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    insert into ingest.old_address (address, tenant_id, source, added_by)
    values (lower(new_address), tenant, origin, session_user)
    on conflict (address, tenant_id) where removed_at is null do nothing;
    if not found then
        return false;
    end if;
    perform ingest.record_action('address.add', 'tenant ' || tenant,
        jsonb_build_object('address', lower(new_address), 'source', origin), why, remark);
    return true;
end
$$;

create function ingest.confirm_old_address(number bigint, until timestamptz, why text, remark text) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    confirmed ingest.old_address;
begin
    update ingest.old_address set confirmed_at = now(), confirmed_by = session_user, routes_until = until
    where id = number and removed_at is null returning * into strict confirmed;
    perform ingest.record_action('address.confirm', 'tenant ' || confirmed.tenant_id,
        jsonb_build_object('address', confirmed.address, 'until', until), why, remark);
end
$$;

create function ingest.remove_old_address(number bigint, why text, remark text) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    removed ingest.old_address;
begin
    update ingest.old_address set removed_at = now(), removed_by = session_user
    where id = number and removed_at is null returning * into strict removed;
    perform ingest.record_action('address.remove', 'tenant ' || removed.tenant_id,
        jsonb_build_object('address', removed.address), why, remark);
end
$$;

revoke all on all functions in schema ingest from public;
grant execute on function ingest.resolve_addresses to ingest_app;
grant execute on function ingest.old_addresses, ingest.add_old_address, ingest.confirm_old_address,
    ingest.remove_old_address to ingest_operator;
