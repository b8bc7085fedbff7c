"""The admin pages of this app."""

from apps.state.admin.documents import ConfigDocumentAdmin
from apps.state.admin.versions import ConfigVersionAdmin

__all__ = ["ConfigDocumentAdmin", "ConfigVersionAdmin"]
