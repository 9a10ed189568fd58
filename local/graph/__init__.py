"""The Graph simulator: the part of Microsoft Graph, Entra ID and Exchange Online that this system touches."""
