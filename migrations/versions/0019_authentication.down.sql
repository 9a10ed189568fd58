-- The verdicts go; they stand in the kept originals.
alter table ingest.message
    drop column dmarc,
    drop column spf,
    drop column dkim,
    drop column arc,
    drop column compauth,
    drop column compauth_reason,
    drop column sender_authenticated;
