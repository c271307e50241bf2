"""How examples become a loss: one file a task, all behind the interface in `task.py`."""
