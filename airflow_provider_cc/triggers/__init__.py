"""Triggers, which wait in the triggerer without occupying a worker."""
