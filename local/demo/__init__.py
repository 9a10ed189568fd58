"""`make demo`: a dozen mails through the whole system, and the proof of where each ended."""
