"""How stages are run: jobs in the words of files and settings, the engine process, the pipeline of a whole project."""
