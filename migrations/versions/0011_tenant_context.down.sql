drop trigger claim_guarded on ingest.claim;
drop function ingest.guard_claim();
revoke select (id, claim_id, tenant_id) on ingest.message from ingest_app;
revoke select (id, message_id, tenant_id) on ingest.part from ingest_app;
revoke select (id, tenant_id) on ingest.document from ingest_app;
grant select on ingest.message, ingest.part, ingest.document to ingest_app;
alter table ingest.message drop constraint message_blob_of_tenant;
alter table ingest.part drop constraint part_blob_of_tenant;
alter table ingest.document drop constraint document_blob_of_tenant;
alter policy tenant on ingest.message using (tenant_id = ingest.current_tenant());
alter policy tenant on ingest.part using (tenant_id = ingest.current_tenant());
alter policy tenant on ingest.document using (tenant_id = ingest.current_tenant());
drop function ingest.enter_tenant, ingest.open_tenant;
create or replace function ingest.current_tenant() returns ingest.message.tenant_id%type
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    return nullif(current_setting('ingest.tenant_id', true), '');
end
$$;
drop function ingest.context_proof;
drop table ingest.assignment, ingest.context_key;
