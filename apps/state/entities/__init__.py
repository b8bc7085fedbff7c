"""Entities (players, accounts, villages) that another system holds: snapshots, diffs, targeted restores."""
