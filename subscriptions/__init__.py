"""Graph change notifications: reading what Graph posts, and keeping one live subscription per mailbox."""
