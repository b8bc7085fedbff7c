"""Why somebody was paged, for programs."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.paging.api.views import UpcomingSerializer


class DeliverySerializer(serializers.Serializer[Any]):
    """What became of one message of a page."""

    channel = serializers.CharField()
    state = serializers.CharField()
    well = serializers.BooleanField(help_text="false while it waits, and when it failed")
    text = serializers.CharField()
    at = serializers.DateTimeField(allow_null=True)
    said = serializers.CharField(help_text="the provider's last word, for those who may see the message; else empty")


class PageStorySerializer(serializers.Serializer[Any]):
    """One person, called once."""

    page = serializers.IntegerField(source="page_id")
    user = serializers.IntegerField(source="user_id")
    name = serializers.CharField()
    at = serializers.DateTimeField()
    late_seconds = serializers.FloatField()
    as_whom = serializers.CharField()
    because = serializers.CharField()
    on_call = serializers.CharField()
    state = serializers.CharField()
    answered_at = serializers.DateTimeField(allow_null=True)
    deliveries = DeliverySerializer(many=True)


class HappeningSerializer(serializers.Serializer[Any]):
    """One thing that decided on paging."""

    at = serializers.DateTimeField()
    text = serializers.CharField()


class WhySerializer(serializers.Serializer[Any]):
    """All that paging did and did not do, and why. `mine` are the caller's own pages."""

    now = serializers.ListField(child=serializers.CharField())
    mine = PageStorySerializer(many=True)
    pages = PageStorySerializer(many=True)
    happened = HappeningSerializer(many=True)
    coming = UpcomingSerializer(many=True)
