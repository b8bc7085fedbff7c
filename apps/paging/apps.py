from django.apps import AppConfig


class PagingConfig(AppConfig):
    name = "apps.paging"
    label = "paging"
