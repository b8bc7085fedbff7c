"""How the admin writes dates, for each language."""
