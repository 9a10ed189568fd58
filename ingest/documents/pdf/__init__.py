"""PDF files: encryption and the e-invoice inside, read in a process of its own where a search is not enough."""
