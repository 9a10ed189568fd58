-- A commit after every batch, so that a row is locked for milliseconds only; rows that a writer holds at the moment
-- are passed over and come up in the next round. Can be repeated.
do $$
declare
    batch constant integer := 500;
    last dms_tenant.id%type;
    seen integer;
begin
    while exists (select from dms_tenant where ingest_token is null or ingest_token::text = '') loop
        last := null;
        loop
            with slice as (
                select id from dms_tenant where last is null or id > last order by id limit batch
            ), due as (
                select tenant.id from dms_tenant as tenant join slice using (id)
                where tenant.ingest_token is null or tenant.ingest_token::text = ''
                for update of tenant skip locked
            ), filled as (
                update dms_tenant as tenant set ingest_token = default from due where tenant.id = due.id
            )
            select (array_agg(id order by id desc))[1], count(*) into last, seen from slice;
            commit;
            exit when seen < batch;
        end loop;
    end loop;

    -- A checked constraint spares `set not null` its look at every row under the exclusive lock. `validate` takes the
    -- look, and reads and writes go on beside it.
    alter table dms_tenant drop constraint if exists dms_tenant_ingest_token_given;
    alter table dms_tenant add constraint dms_tenant_ingest_token_given check (ingest_token is not null) not valid;
    commit;
    alter table dms_tenant validate constraint dms_tenant_ingest_token_given;
    commit;
    alter table dms_tenant alter column ingest_token set not null;
    alter table dms_tenant drop constraint dms_tenant_ingest_token_given;
end
$$;
