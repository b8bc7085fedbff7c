"""A small game to practise on: its own process, real HTTP, real metrics, and buttons that break it.

Only the standard library is used here, so that the world also runs without the portal beside it.
"""
