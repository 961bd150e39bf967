"""What a run looked like, for people: text, and one HTML file with a picture drawn here."""
