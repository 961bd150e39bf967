"""What a worker does for services beyond other jobs: look at ports, ask for health. It decides nothing."""
