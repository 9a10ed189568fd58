-- The app writes the words with each mail (ingest/storage/search_words.py). Null: a mail of before, until the next migration.
alter table ingest.message add column search tsvector;
