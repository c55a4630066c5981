"""A star at rest: photosphere, opacity, lines, broadening."""
