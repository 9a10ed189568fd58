set lock_timeout = 0;
-- next statement
drop index concurrently if exists ingest.message_search;
-- next statement
drop index concurrently if exists ingest.message_received;
-- next statement
drop index concurrently if exists ingest.claim_without_copy;
-- next statement
reset lock_timeout;
