"""The report of a run: base and version on the sealed test split, in figures, answers and pictures. Knows no Django."""
