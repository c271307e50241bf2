"""Hand-written dialogue corpus: phrasings in YAML, recombined with random values.

Phrasings are split into training and test by a hash of each line.
"""

from vita_model.training.dialogues.model import (
    Dialogue,
    Split,
    Tool,
    ToolCall,
    Turn,
    system_prompt,
)
from vita_model.training.dialogues.noise import asr_noise
from vita_model.training.dialogues.sampler import (
    sample_aside,
    sample_dialogue,
    sample_reply,
    sample_spoken,
    sample_turn,
)

__all__ = [
    "Dialogue",
    "Split",
    "Tool",
    "ToolCall",
    "Turn",
    "asr_noise",
    "sample_aside",
    "sample_dialogue",
    "sample_reply",
    "sample_spoken",
    "sample_turn",
    "system_prompt",
]
