"""What the frozen T5 reads and answers: template, label words, bank of soft prompts, scorer, prompt files."""
