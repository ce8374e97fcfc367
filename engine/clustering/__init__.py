"""Meta tasks from a corpus (section 4.2): group its texts, lay them out in the plane, say what each group is about."""
