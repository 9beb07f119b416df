"""What to try next: spaces, supernets, strategies, objectives, export, campaigns, reports."""
