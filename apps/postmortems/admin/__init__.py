"""Pages of reviews and action items in the admin. Importing this package registers them."""

from apps.postmortems.admin.item_admin import ActionItemAdmin
from apps.postmortems.admin.review_admin import ReviewAdmin

__all__ = ["ActionItemAdmin", "ReviewAdmin"]
