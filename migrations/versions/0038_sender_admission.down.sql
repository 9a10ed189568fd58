alter table ingest.claim drop column sender_released;
