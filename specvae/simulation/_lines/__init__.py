"""Lines of stars: what a line list is, where the default one comes from, and the elements."""
