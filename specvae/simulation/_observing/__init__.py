"""Atmosphere, telescope, spectrograph and detector."""
