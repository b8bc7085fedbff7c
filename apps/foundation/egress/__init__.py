"""Everything that leaves the portal by HTTP: `call` for runbooks and configs, the checked client for webhooks."""

from apps.foundation.egress.calls import Answer, EgressError, call

__all__ = ["Answer", "EgressError", "call"]
