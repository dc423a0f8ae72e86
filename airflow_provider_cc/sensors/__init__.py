"""What waits: for an agent, for a sync."""
