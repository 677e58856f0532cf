from brigade.models.document_model import CHANGED_FILE, FORMAT_VERSION, ModelFormatError, change_marker  # noqa: F401
from brigade.models.files import MANIFEST_FILE, PassedOver, find_manifest, model_date, run_folder  # noqa: F401

MODEL_PREFIX = "doc-classification-model-"
