"""How jobs are run in a project: the engine process, where runs begin and are settled, the pipeline."""
