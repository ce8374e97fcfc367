"""The window of MetaPT: wizard pages that hand their work to the engine process. Knows Qt, never torch."""
