"""The registry: versions of adapters and detectors, and which of them serves a Line."""
