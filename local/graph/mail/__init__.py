"""The mailboxes of the simulator: SMTP in, MIME conversion, messages, attachments and folders out."""
