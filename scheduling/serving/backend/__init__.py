"""What runs inside a node: options, the queue, and the work of its two models. No Triton library in here."""
