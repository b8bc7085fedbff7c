"""Sending what is queued: `leases` is what the database sees of it, `rounds` keeps the transports busy."""
