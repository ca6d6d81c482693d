"""What the model remembers: attention, the tokens kept, their places in time, one token's life."""
