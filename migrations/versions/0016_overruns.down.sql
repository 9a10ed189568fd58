alter table ingest.claim drop column overruns;
