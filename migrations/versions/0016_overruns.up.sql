-- Tries that took the whole time of a message while other messages were filed; two of them end in Quarantine.
alter table ingest.claim add column overruns integer not null default 0;
