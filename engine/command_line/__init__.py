"""What the command line is made of: options from the settings, live progress, the doctor."""
