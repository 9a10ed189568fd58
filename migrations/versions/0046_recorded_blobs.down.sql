drop function ingest.recorded_blobs;
