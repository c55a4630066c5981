"""Designs: which labels to simulate."""
