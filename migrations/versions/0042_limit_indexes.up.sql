set lock_timeout = 0;
-- next statement
-- An earlier try may have left an index that is not valid.
drop index concurrently if exists ingest.answer_domain;
-- next statement
create index concurrently answer_domain on ingest.answer (domain_hash, taken_at) where domain_hash is not null;
-- next statement
drop index concurrently if exists ingest.answer_taken;
-- next statement
create index concurrently answer_taken on ingest.answer (taken_at) where taken_at is not null;
-- next statement
reset lock_timeout;
