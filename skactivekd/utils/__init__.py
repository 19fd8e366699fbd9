"""What all parts of the package decide in one place."""
