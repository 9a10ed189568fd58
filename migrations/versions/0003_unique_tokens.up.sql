-- Waits for other sessions without a limit: none waits for this one. An earlier try may have left an invalid index.
set lock_timeout = 0;
-- next statement
drop index concurrently if exists dms_tenant_ingest_token_key;
-- next statement
-- Compared as mail addresses are: without case, and a UUID with or without its dashes.
create unique index concurrently dms_tenant_ingest_token_key
    on dms_tenant (lower(replace(ingest_token::text, '-', '') collate "C"));
-- next statement
reset lock_timeout;
