"""What builds the demo organisation, only by the operations of the other apps."""

from apps.demo.operations.seeding import seed_demo

__all__ = ["seed_demo"]
