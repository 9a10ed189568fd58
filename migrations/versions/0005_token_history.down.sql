-- Tokens that were rotated away route no more, and could be given again: the history is gone.
drop trigger ingest_token_default on dms_tenant;
drop trigger ingest_token_kept on dms_tenant;
drop trigger ingest_token_given on dms_tenant;
drop trigger ingest_token_changed on dms_tenant;
drop function ingest.resolve_tokens(text[]), ingest.record_token(), ingest.keep_token(), ingest.normal_token(text);
drop table ingest.disabled_tenant, ingest.token;
