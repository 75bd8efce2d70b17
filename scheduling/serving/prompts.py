"""The version of what a describer is asked; stored with every Description, so that answers can be compared fairly."""

PROMPT_VERSION = "region-json-1"
