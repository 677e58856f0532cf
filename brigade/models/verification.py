from brigade.models.files import load_verified  # noqa: F401
