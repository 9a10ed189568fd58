"""Headers of mails and parts: fields, text, addresses, parameters, and the verdict of the receiving service."""
