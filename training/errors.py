"""What can go wrong offline, as a tree.

TrainingError
├── ConfigError      a setting that cannot be used
├── DataError        input that cannot become a dataset
│   └── LeakageError a validation or test target that training would see
├── KnowledgeError   teacher knowledge that is missing, damaged or of another dataset
├── CheckpointError  a trained student that is missing, damaged or of another dataset
├── ResultError      a measured run that is damaged
├── WorkerError      a process of ours that was killed
└── EndpointError    an LLM's server that is not there, refuses or answers something else
"""


class TrainingError(Exception):
    """Base of every error that a user of the offline programs can cause and mend."""


class ConfigError(TrainingError):
    """A setting that cannot be used; the message names the key and its value."""


class DataError(TrainingError):
    """Input that cannot become a dataset; the message names file, row and value."""


class LeakageError(DataError):
    """A validation or test target that training would see."""


class KnowledgeError(TrainingError):
    """Teacher knowledge that is missing, damaged or made for another dataset."""


class CheckpointError(TrainingError):
    """A trained student that is missing, damaged or made for another dataset."""


class ResultError(TrainingError):
    """A measured run that is damaged; the message names its file."""


class WorkerError(TrainingError):
    """A process of ours that was killed by something else."""


class EndpointError(TrainingError):
    """An LLM's server that is not there, refuses or answers something else; names its URL."""
