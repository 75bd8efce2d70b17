"""What is said to a node and what comes back, over gRPC. The only room that imports tritonclient; knows no Django."""
