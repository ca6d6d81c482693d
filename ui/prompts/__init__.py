"""What people ask for: examples, what the model knows, later prompts."""
