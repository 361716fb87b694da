"""What a compiled program costs, read from its own text: the products it does, the bytes it moves, what it sends."""
