-- Every token that was ever given, and the tenants that are switched off. Only the owner's functions read these
-- tables: no role has rights on them, and row-level security without a policy says so once more.
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
        create table ingest.token (
            token text collate "C" primary key,    -- as tokens are compared: ingest.normal_token
            tenant_id %1$s not null,               -- no reference: a token outlives its tenant, and stays given
            given_at timestamptz not null default now(),
            routes_until timestamptz               -- null: the one in dms_tenant, which routes without an end
        );
        create index token_tenant on ingest.token (tenant_id);

        create table ingest.disabled_tenant (
            tenant_id %1$s primary key references %2$s (id) on delete cascade,
            disabled_at timestamptz not null default now(),
            disabled_by text not null
        );
    $ddl$, tenant_id_type, tenants);
end
$$;
alter table ingest.token enable row level security;
alter table ingest.disabled_tenant enable row level security;

-- Mail addresses know no case, and a UUID routes with and without its dashes.
create function ingest.normal_token(token text) returns text
    language sql immutable strict parallel safe
    return lower(replace(token, '-', '') collate "C");

-- An insert without a token gets one, also with an explicit null or ''. An update to a token that
-- this tenant had before is a save of stale data (Django's save() writes every column): the rotation stands.
create function ingest.keep_token() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'INSERT' then
        new.ingest_token := replace(gen_random_uuid()::text, '-', '');
    elsif coalesce(new.ingest_token::text, '') = '' or exists (
        select from ingest.token
        where token = ingest.normal_token(new.ingest_token::text) and tenant_id = old.id
            and token <> ingest.normal_token(old.ingest_token::text)
    ) then
        new.ingest_token := old.ingest_token;
    end if;
    return new;
end
$$;

-- The old token routes for thirty more days, or as long as the setting ingest.token_grace says.
create function ingest.record_token() returns trigger
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

-- Short: creating a trigger holds writers of dms_tenant back until this file commits.
create trigger ingest_token_default before insert on dms_tenant
    for each row when (new.ingest_token is null or new.ingest_token::text = '')
    execute function ingest.keep_token();
create trigger ingest_token_kept before update of ingest_token on dms_tenant
    for each row when (old.ingest_token is distinct from new.ingest_token)
    execute function ingest.keep_token();
create trigger ingest_token_given after insert on dms_tenant
    for each row execute function ingest.record_token();
create trigger ingest_token_changed after update of ingest_token on dms_tenant
    for each row when (old.ingest_token is distinct from new.ingest_token)
    execute function ingest.record_token();

-- The only way for the app to a tenant: who asks must know a token. is_active is read through jsonb because not
-- every DMS has that column, and one that has it may drop it.
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
    -- Index lookups for each token, with any statistics of the tables: constant work.
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

revoke all on all functions in schema ingest from public;
grant execute on function ingest.resolve_tokens(text[]) to ingest_app;
