set lock_timeout = 0;
-- next statement
drop index concurrently if exists ingest.message_held_index;
-- next statement
reset lock_timeout;
