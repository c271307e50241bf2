"""VoiceBench's subsets that rules can score: its files, and rules of our own after its paper."""
