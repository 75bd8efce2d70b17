"""A line to look at without a camera: generated boards sent through the public doors, like any client's."""
