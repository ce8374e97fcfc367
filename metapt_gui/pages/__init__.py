"""One module a wizard step."""
