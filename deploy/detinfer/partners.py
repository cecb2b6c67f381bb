"""The other picture of each pair, for networks that compare two."""

from pathlib import Path

from ..inputs.geometry import Image
from ..inputs.image import read_image
from ..inputs.sources import Picture
from ..pipelines.pipeline import Pipeline
from ..results.instances import Instances
from ..system.errors import InputError, UsageError
from .beside import FilesBeside, sizes


class Partners:
    """The pictures of --against."""

    def __init__(self, files: FilesBeside) -> None:
        self._files = files

    def look(self, model: Pipeline, pictures: list[Picture]) -> list[Instances]:
        """What has changed between each picture and its partner."""
        return model([picture.image for picture in pictures], against=[self.of(picture) for picture in pictures])

    def of(self, picture: Picture) -> Image:
        """The partner of a picture. Raises InputError if it is missing or has another size."""
        file = self._files.of(picture)
        image = read_image(file)
        if image.shape != picture.image.shape:
            raise InputError(
                f"compared with {file}, but they have {sizes(picture.image, image)}; give pairs of one size"
            )
        return image


def partners_for(model: Pipeline, against: Path | None, *, recursive: bool) -> Partners | None:
    """The pictures of --against for a model that compares pairs. Raises UsageError if only one of both is given."""
    compares = model.card.form.runs_on == "pairs"
    if compares and against is None:
        raise UsageError(f"{model.card.model} compares two pictures; give the later one, or a folder, with --against")
    if against is None:
        return None
    if not compares:
        raise UsageError(f"--against is for networks that compare two pictures, {model.card.model} takes one; omit it")
    return Partners(FilesBeside(against, "--against", "partner", recursive=recursive))
