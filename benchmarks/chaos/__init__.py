"""One input, or one part that stops, stops nobody: hostile uploads and stopped parts, and what good frames meet."""
