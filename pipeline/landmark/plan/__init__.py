"""Choose the samples of a corpus: pure functions of tables, without file or pixel access."""
