drop table ingest.finding;
