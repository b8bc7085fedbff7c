"""What a flag answers to whom: pure functions of a definition and a context, compiled once, asked often."""
