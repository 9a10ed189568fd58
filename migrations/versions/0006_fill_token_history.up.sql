-- The triggers record what is given from now on; this records what was there. Without a lock on dms_tenant, with a
-- commit after every batch. Can be repeated.
do $$
declare
    batch constant integer := 5000;
    last dms_tenant.id%type;
    seen integer;
begin
    loop
        with slice as (
            select id, ingest_token from dms_tenant where last is null or id > last order by id limit batch
        ), recorded as (
            insert into ingest.token (token, tenant_id)
            select ingest.normal_token(ingest_token::text), id from slice
            on conflict do nothing
        )
        select (array_agg(id order by id desc))[1], count(*) into last, seen from slice;
        commit;
        exit when seen < batch;
    end loop;
end
$$;
