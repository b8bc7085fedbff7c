"""Entities over the API."""
