"""Everything that stands in for Azure and Microsoft 365 on one machine; never deployed."""
