-- From the topmost Authentication-Results, where the receiving service wrote it. Null: no verdict, or a mail of before.
alter table ingest.message
    add column dmarc text,
    add column spf text,
    add column dkim text,
    add column arc text,
    add column compauth text,                      -- Microsoft's verdict over all
    add column compauth_reason text,               -- its number
    add column sender_authenticated boolean;       -- DMARC passed for the domain of the one address in From
