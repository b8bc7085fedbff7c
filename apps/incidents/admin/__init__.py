"""Pages of incidents in the admin. Importing this package registers them."""

from apps.incidents.admin.incident_admin import IncidentAdmin

__all__ = ["IncidentAdmin"]
