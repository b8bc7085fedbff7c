"""What the world's config must look like, as JSON Schema."""

from __future__ import annotations

from typing import Any

# What the config must look like. The world itself takes more than that: bad configs are what it is for.
CONFIG_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Config of Emberfall",
    "type": "object",
    "required": ["economy", "matchmaking"],
    "properties": {
        "economy": {
            "type": "object",
            "required": ["drop_rate", "gold_per_kill"],
            "properties": {
                "drop_rate": {
                    "type": "number",
                    "minimum": 0,
                    "maximum": 1,
                    "description": "chance of an item for each kill; over 0.2 inventories overflow",
                },
                "gold_per_kill": {"type": "number", "minimum": 0, "maximum": 1000},
                "shop_discount": {"type": "number", "minimum": 0, "maximum": 1},
            },
        },
        "matchmaking": {
            "type": "object",
            "properties": {
                "max_party_size": {"type": "integer", "minimum": 1, "maximum": 40},
                "region": {"type": "string"},
            },
        },
        "message_of_the_day": {"type": "string", "maxLength": 200},
    },
}
