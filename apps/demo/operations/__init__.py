"""What builds the demo organisation, only by the operations of the other apps."""
