"""Where T5s come from (bundled, local folder, hub) and what they run on."""
