set lock_timeout = 0;
-- next statement
drop index concurrently if exists dms_tenant_ingest_token_key;
-- next statement
reset lock_timeout;
