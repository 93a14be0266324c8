"""Errors that the offline programs report to their user.

TrainingError
├── ConfigError      a setting or option that is unknown or not allowed
├── DataError        input that cannot become a dataset
│   └── LeakageError a validation or test target that training would see
├── DiskError        a disk that is full, or does not allow writing
├── ShardError       a store of shards that fails, refuses or is damaged
├── KnowledgeError   teacher knowledge that is missing, damaged or of another dataset
├── CheckpointError  a trained student that is missing, damaged or of another dataset
├── ResultError      a damaged result of a run
├── TensorFileError  a damaged file of tensors
├── WorkerError      a killed worker process
└── EndpointError    an LLM server that is unreachable, refuses or answers something unexpected
"""

# Programs that a message asks to run, as documents name them; CONFIG is the experiment's file.
PREPARE = "`distilled-recommender prepare CONFIG`"
TEACH = "`distilled-recommender teach CONFIG`"
# For knowledge that is there: without the option, `teach` keeps what is current or ready-made.
TEACH_AGAIN = "`distilled-recommender teach CONFIG --again`"
DISTILL = "`distilled-recommender distill CONFIG`"
DISTILL_REFIT = "`distilled-recommender distill CONFIG --refit`"


class TrainingError(Exception):
    """Base class of errors that a user of the offline programs can cause and fix."""


class ConfigError(TrainingError):
    """A setting or option that is unknown or not allowed; the message names it and its value."""


class DataError(TrainingError):
    """Input that cannot become a dataset; the message names file, row and value."""


class LeakageError(DataError):
    """A held-out row that training would see; the message names user, item and source row."""


class DiskError(TrainingError):
    """A disk that is full, or does not allow writing; the message names the file or folder."""


class ShardError(TrainingError):
    """A store of a teacher's shards that does not answer, refuses, or has a damaged object."""


class KnowledgeError(TrainingError):
    """Teacher knowledge that is missing, damaged or made for another dataset."""


class CheckpointError(TrainingError):
    """A trained student that is missing, damaged or made for another dataset."""


class ResultError(TrainingError):
    """A damaged result of a run; the message names its file."""


class TensorFileError(TrainingError):
    """A damaged file of tensors, or a file in another format; the message names the file."""


class WorkerError(TrainingError):
    """A worker process that was killed from outside, for example for lack of memory."""


class EndpointError(TrainingError):
    """An LLM server that is unreachable, refuses or answers something unexpected.

    The message names the server's URL.
    """
