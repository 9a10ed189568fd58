set lock_timeout = 0;
-- next statement
-- An earlier try may have left an index that is not valid.
drop index concurrently if exists ingest.message_held_index;
-- next statement
create index concurrently message_held_index on ingest.message (tenant_id, received_at) where held_reason is not null;
-- next statement
reset lock_timeout;
