"""How each person wants to be notified: evaluated purely, linted, and read by constant numbers of queries."""
