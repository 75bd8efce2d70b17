"""The trainer `describer-lora`: from a sealed dataset to an adapter. Knows no Django, and not who started it."""
