-- The claim of a mail that was in Quarantine for its sender let the sender in at once. After a late notification the mail
-- is still in Quarantine, and an owner that died left the admission behind. From here on a claim says that the mail may be
-- back, and the owner that sees the mail in the inbox lets the sender in.
alter table ingest.claim add column sender_released boolean not null default false;
