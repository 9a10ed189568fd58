"""Invoices: the XML of an e-invoice read, and the PDF and the XML of one invoice linked."""
