"""Verdicts on malware: taken from Defender for Storage or from clamd, after a mail is stored and never on its way."""
