"""What a run looked like, for people: text, one HTML file, and one picture."""
