"""What training makes of the made-up documents, without a whole run: blocks, matrices, a trainer."""

import numpy as np
from pyspark.sql import Row
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.utils import murmurhash3_32

from brigade.models.text_features import FeatureParameters
from brigade.training.features import Block, Matrix, count_features, document_frequencies
from brigade.training.mixing import Trainer
from brigade.training.options import Settings
from tests.training.made_up_documents import INDEX, LABELS

FEATURES = FeatureParameters(hash_bits=12, ngrams=1)


def blocks_of(rows: list[tuple[str, str]], parameters: FeatureParameters = FEATURES, fold: int = 1) -> list[Block]:
    return list(count_features((Row(payload=a, label=b, fold=fold) for a, b in rows), parameters, INDEX))


def tf_idf_by_hand(rows: list[str]) -> tuple[csr_matrix, np.ndarray]:
    """scikit-learn's (1 + ln count) · idf of the same hashed words, of length 1, and its idf."""
    words = [(number, word) for number, text in enumerate(rows) for word in text.split() if len(word) > 1]
    places = [murmurhash3_32(word, positive=True) % FEATURES.size for _, word in words]
    cells = np.ones(len(words)), ([number for number, _ in words], places)
    transformer = TfidfTransformer(sublinear_tf=True)
    return transformer.fit_transform(csr_matrix(cells, (len(rows), FEATURES.size))), transformer.idf_


def matrix_of(rows: list[tuple[str, str]], labels: list[str], width: int = 300) -> Matrix:
    """A matrix of random features, the same for the same number of rows."""
    choose = np.random.default_rng(len(rows))
    dense = choose.normal(size=(len(rows), width)) * (choose.random((len(rows), width)) < 0.05)
    sparse = csr_matrix(dense.astype(np.float32))
    classes = np.array([labels.index(label) for _, label in rows], np.int32)
    return Matrix(sparse.indptr, sparse.indices, sparse.data, classes, False)


def trainer_of(spark, partitions: list[list[tuple[str, str]]], held=(), classes=LABELS, **settings) -> Trainer:
    """A trainer on partitions of just these rows, and one more of `held` for validation."""
    blocks = [blocks_of(rows) for rows in partitions] + [blocks_of(held, fold=0)] * bool(held)
    (frequencies,) = document_frequencies([block for part in blocks for block in part], FEATURES)
    lying = spark.sparkContext.parallelize(blocks, len(blocks)).flatMap(lambda part: part)
    settings = Settings(**{"ngrams": 1, "idf_power": 1.0} | settings)
    return Trainer.of(lying, frequencies[0], list(classes), FEATURES, settings, 0)
