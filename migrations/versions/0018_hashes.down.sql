set lock_timeout = 0;
-- next statement
drop index concurrently if exists ingest.message_hash;
-- next statement
drop index concurrently if exists ingest.document_hash;
-- next statement
reset lock_timeout;
