"""Who takes part in an experiment with which variant, and what its figures say: pure functions, no database."""
