"""Tables, their columns and the batches made of them: the vocabulary that every other layer shares."""
