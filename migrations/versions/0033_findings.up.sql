-- What the daily examination found, for the overview of operators. The app may add rows and do nothing else. All rows of
-- one examination have the same time. No text of a check is kept: names and states only.
create table ingest.finding (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    check_name text not null,
    status text not null                           -- checks.examination.Status
);
create index finding_at on ingest.finding (at desc);
alter table ingest.finding enable row level security;
create policy app on ingest.finding for insert to ingest_app with check (true);
create policy operator on ingest.finding for select to ingest_operator using (true);
grant insert on ingest.finding to ingest_app;
grant select on ingest.finding to ingest_operator;
