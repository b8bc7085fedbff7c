"""Where providers call back."""

from __future__ import annotations

from django.urls import path

from apps.messaging.hooks import pagerduty, slack, twilio

app_name = "hooks"
urlpatterns = [
    path("hooks/slack/<str:key>/", slack.interactivity, name="slack"),
    path("hooks/pagerduty/<str:key>/", pagerduty.webhook, name="pagerduty"),
    path("hooks/twilio/<str:key>/", twilio.reply, name="twilio"),
    path("hooks/twilio/<str:key>/status/", twilio.status, name="twilio-status"),
]
