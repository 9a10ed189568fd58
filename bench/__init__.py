"""The benchmark: this app beside what would be written otherwise, and beside what Outlook allows at all."""
