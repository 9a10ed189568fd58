set lock_timeout = 0;
-- next statement
-- An earlier try may have left an index that is not valid.
drop index concurrently if exists ingest.message_hash;
-- next statement
create index concurrently message_hash on ingest.message (tenant_id, sha256);
-- next statement
drop index concurrently if exists ingest.document_hash;
-- next statement
create index concurrently document_hash on ingest.document (tenant_id, sha256);
-- next statement
reset lock_timeout;
