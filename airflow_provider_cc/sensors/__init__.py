"""Sensors for agents and for the sync."""
