from tests.service.conftest import bundle_path as bundle_path
from tests.training.conftest import chain_config as chain_config
from tests.training.conftest import chain_dataset as chain_dataset
