-- What waits for its turn is taken up by the next sweep: its claim is unfinished.
update ingest.claim set next_try_at = null where waits_since is not null;
alter table ingest.claim drop column waits_since;
drop function ingest.over_budget, ingest.count_mail, ingest.wait_for_turn, ingest.give_turns, ingest.tenant_load,
    ingest.set_budget;
drop table ingest.turn, ingest.tenant_budget, ingest.tenant_hour;
