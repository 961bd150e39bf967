"""What goes wrong in a simulation: one file for each thing that it happens to."""
