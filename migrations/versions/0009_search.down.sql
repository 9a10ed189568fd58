alter table ingest.message drop column search;
