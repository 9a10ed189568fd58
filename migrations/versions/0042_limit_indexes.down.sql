set lock_timeout = 0;
-- next statement
drop index concurrently if exists ingest.answer_taken;
-- next statement
drop index concurrently if exists ingest.answer_domain;
-- next statement
reset lock_timeout;
