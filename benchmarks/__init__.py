"""What makes a claim about speed measurable: each prints a ratio against a limit or a peer of the same run."""
