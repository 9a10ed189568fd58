-- Upload addresses of a mail that brought their tenant no copy, and why. A claim holds no tenant data, and one tenant
-- must not learn who else was addressed: only the owner's functions read this table, for operators. No token is kept.
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
        create table ingest.passed_over (
            claim_id bigint not null references ingest.claim (id) on delete cascade,
            place integer not null,                -- among the addresses that brought no copy
            tenant_id %1$s references %2$s (id) on delete cascade,  -- null: the address belongs to no tenant
            why text not null check (why in ('unknown_token', 'tenant_inactive', 'another_tenant_first')),
            noted_at timestamptz not null default now(),
            primary key (claim_id, place)
        )
    $ddl$, tenant_id_type, tenants);
end
$$;
alter table ingest.passed_over enable row level security;
create index passed_over_tenant on ingest.passed_over (tenant_id) where tenant_id is not null;

-- Replaces the earlier notes on the claim. `proofs`: tokens and old addresses, each with its `whys`.
create function ingest.note_passed_over(claim bigint, proofs text[], whys text[]) returns void
    language sql security definer
    set search_path = pg_catalog, pg_temp
as $$
    delete from ingest.passed_over where claim_id = claim;
    insert into ingest.passed_over (claim_id, place, tenant_id, why)
    select claim, given.place, coalesce(
        (select tenant_id from ingest.resolve_tokens(array[given.proof]) limit 1),
        (select tenant_id from ingest.resolve_addresses(array[given.proof]) limit 1)
    ), given.why
    from unnest(proofs, whys) with ordinality as given (proof, why, place);
$$;

create function ingest.passed_over_by(claim bigint)
    returns table (tenant_id ingest.message.tenant_id%type, tenant text, why text, noted_at timestamptz)
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select noted.tenant_id, known.name, noted.why, noted.noted_at
    from ingest.passed_over as noted left join ingest.tenant_name as known on known.id = noted.tenant_id
    where noted.claim_id = claim
    order by noted.place
$$;

-- As before, and the notes.
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
    delete from ingest.assignment where tenant_id = tenant;
    delete from ingest.turn where tenant_id = tenant;
    delete from ingest.tenant_hour where tenant_id = tenant;
    delete from ingest.tenant_budget where tenant_id = tenant;
    delete from ingest.old_address where tenant_id = tenant;
    delete from ingest.passed_over where tenant_id = tenant;
    if (gone_messages, gone_documents) <> (messages, documents) then
        raise object_not_in_prerequisite_state using message = format(
            'the tenant has %s messages and %s documents now, not the confirmed %s and %s: nothing was deleted',
            gone_messages, gone_documents, messages, documents);
    end if;
    perform ingest.record_action('tenant.forget', 'tenant ' || tenant,
        jsonb_build_object('messages', messages, 'documents', documents), why, remark);
end
$$;

revoke all on all functions in schema ingest from public;
grant execute on function ingest.note_passed_over to ingest_app;
grant execute on function ingest.passed_over_by to ingest_operator;
