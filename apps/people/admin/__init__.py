"""Admin pages of accounts, and the base of everybody else's (`base`)."""

from apps.people.admin import contact_points, engine, groups, tokens, users

__all__ = ["contact_points", "engine", "groups", "tokens", "users"]
