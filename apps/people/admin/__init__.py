"""Admin pages of accounts, and the base of everybody else's (`base`)."""
