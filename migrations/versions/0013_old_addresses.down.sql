-- Redirected mail without a token goes to Quarantine again. The audit record keeps who confirmed which address.
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
    ) then
        raise insufficient_privilege using
            message = 'neither a token nor an assignment proves that the message is for this tenant';
    end if;
    perform ingest.open_tenant(enter_tenant.tenant);
end
$$;
drop function ingest.resolve_addresses, ingest.old_addresses, ingest.add_old_address, ingest.confirm_old_address,
    ingest.remove_old_address;
drop table ingest.old_address;
drop function ingest.may_receive;
