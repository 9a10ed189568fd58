drop function if exists ingest.expire_copies, ingest.expire_rejections, ingest.expire_claims;
-- next statement
set lock_timeout = 0;
-- next statement
drop index concurrently if exists ingest.message_duplicate_of;
-- next statement
drop index concurrently if exists ingest.document_related;
-- next statement
reset lock_timeout;
