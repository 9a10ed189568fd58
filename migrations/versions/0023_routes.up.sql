-- A login of the app could ask over_budget for guessed ids, and so learn which ids are tenants. From here on the budget
-- is answered beside the tenant of a token or old address, and for no other tenant.
create function ingest.route_tokens(tokens text[], budget integer)
    returns table (place integer, tenant_id ingest.message.tenant_id%type, active boolean, over_budget boolean)
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select place, tenant_id, active, ingest.over_budget(tenant_id, budget) from ingest.resolve_tokens(tokens)
$$;

create function ingest.route_addresses(addresses text[], budget integer)
    returns table (place integer, tenant_id ingest.message.tenant_id%type, active boolean, over_budget boolean)
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select place, tenant_id, active, ingest.over_budget(tenant_id, budget) from ingest.resolve_addresses(addresses)
$$;

revoke all on all functions in schema ingest from public;
revoke execute on function ingest.over_budget, ingest.resolve_tokens, ingest.resolve_addresses from ingest_app;
grant execute on function ingest.route_tokens, ingest.route_addresses to ingest_app;
