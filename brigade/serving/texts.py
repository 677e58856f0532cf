"""The texts that a text model reads, where they are no documents of this project: its definition names the feature."""

from brigade.events.event import NotAnEvent, value_at
from brigade.models.document_model import DocumentModel
from brigade.models.store import ServedModel
from brigade.serving.requests import Refused
from brigade.serving.rows import single


class Reading:
    """Reads the texts of one request."""

    def __init__(self, served: ServedModel):
        assert served.model.pipeline is not None
        (self.feature,) = served.model.pipeline["model"]["features"]
        self.path = served.fields.get(self.feature)

    def bare(self, where: str, instance: dict) -> str:
        """The text of {feature: text}. Raises Refused."""
        if self.feature not in instance:
            raise Refused(f'{where}: expected the key "{self.feature}", found none')
        where = f"{where}.{self.feature}"
        text = single(where, "a string", (str,), instance[self.feature])
        if not isinstance(text, str) or not text.strip():
            raise Refused(f"{where}: expected a text, found {'null' if text is None else 'an empty one'}")
        return text

    def event(self, event: dict) -> str:
        """The text of an event. Raises NotAnEvent if there is none in it: nothing is told of nothing."""
        text = value_at(event, self.path) if self.path else None
        if not isinstance(text, str) or not text.strip():
            raise NotAnEvent("empty_payload", f"{self.feature} holds no text")
        return text

    def counts(self) -> dict[str, object]:
        return {}


def predicted(model: DocumentModel, found: list[str], explain: bool) -> list[dict]:
    """The predictions for texts; with the words that speak for each, if asked."""
    predictions = [model.predict(text) for text in found]
    if explain:
        for text, prediction in zip(found, predictions, strict=True):
            prediction["explanation"] = model.explain(text, prediction["label"])
    return predictions
