from brigade.models.document_model import FeatureParameters, gram_places, grams, hashed_counts, weighted  # noqa: F401
