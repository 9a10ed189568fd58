drop function ingest.route_tokens, ingest.route_addresses;
grant execute on function ingest.over_budget, ingest.resolve_tokens, ingest.resolve_addresses to ingest_app;
