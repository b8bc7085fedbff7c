from django.apps import AppConfig


class MessagingConfig(AppConfig):
    name = "apps.messaging"
    label = "messaging"
    verbose_name = "Administer"

    def ready(self) -> None:
        """The sender is a sweeper; endpoints hear of all events; the queue shows in the metrics."""
        from apps.engine.metrics import register_gauge
        from apps.engine.registry import Sweeper, register_sweeper, subscribe, subscribe_batch
        from apps.messaging import contact_codes, operations, queries, subscribers
        from apps.messaging.sending.late import is_any_late, report_late

        register_sweeper(
            Sweeper("messages", operations.SEND_TASK, operations.SEND_QUEUE, operations.send_due, queries.messages_due)
        )
        register_sweeper(
            Sweeper("late messages", "messaging.report_late", operations.SEND_QUEUE, report_late, is_any_late)
        )
        register_sweeper(
            Sweeper("contact points", "messaging.remind", "bulk", contact_codes.remind, contact_codes.is_any_stale)
        )
        subscribe_batch(["*"], subscribers.SUBSCRIBER, subscribers.fan_out)
        subscribe(contact_codes.KINDS, contact_codes.SUBSCRIBER, contact_codes.send_code)
        register_gauge(
            "portal_messages_waiting",
            "Messages that wait to be sent.",
            queries.waiting_by_channel,
            label="channel",
        )
        register_gauge(
            "portal_oldest_waiting_message_seconds",
            "How long the oldest message has waited since it fell due.",
            lambda: {"": queries.oldest_waiting_seconds()},
        )
