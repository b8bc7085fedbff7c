"""The admin site: Unfold's, which does not make the list of all models for pages that show none."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.apps import AdminConfig
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from unfold.sites import UnfoldAdminSite


class PortalAdminSite(UnfoldAdminSite):  # type: ignore[misc]  # it comes without types
    """Our pages have a sidebar of their own: what Django would list there costs more than most pages themselves."""

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> Any:
        """Every app with the models that the person may open, asked for when somebody looks at it."""
        return SimpleLazyObject(lambda: super(PortalAdminSite, self).get_app_list(request, app_label))


class PortalAdminConfig(AdminConfig):
    """Stands in for `django.contrib.admin` among the installed apps."""

    default_site = "incidentportal.site.PortalAdminSite"
