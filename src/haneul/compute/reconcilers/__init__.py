"""What compute compares and mends by itself."""
