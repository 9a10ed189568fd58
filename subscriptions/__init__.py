"""Graph change notifications: understanding what Graph posts, and keeping one live subscription per mailbox."""
