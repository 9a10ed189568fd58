-- The tenants stay; only their addresses go.
drop index if exists dms_tenant_ingest_token_key;
alter table dms_tenant drop column if exists ingest_token;
