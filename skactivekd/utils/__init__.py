"""What all parts of the package decide alike: labels, probabilities, scores."""
