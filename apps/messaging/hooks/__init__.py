"""What providers call back: each signature is checked, each press goes through the registry of responders."""
