"""What stations can look at: the products that served models were trained for, with their defect classes."""

from dataclasses import dataclass

from scheduling.models import ServedModel

from .bootstrap import BARE_PCB, DEFECT_CLASSES
from .vocabulary import ClassName, readable_title

SHIPPED_TITLES = dict(DEFECT_CLASSES)


@dataclass(frozen=True)
class Product:
    """`name` as models and stations write it, `title` as people read it."""

    name: str
    title: str
    classes: tuple[ClassName, ...]
    served: bool  # whether a model that is on a node now was trained for it


def known() -> list[Product]:
    """The shipped models' product, and what each detector that stands on a node declares."""
    shipped = tuple(ClassName(name, title) for name, title in DEFECT_CLASSES)
    found = {BARE_PCB: Product(BARE_PCB, "Bare circuit boards", shipped, served=False)}
    for model in ServedModel.objects.filter(kind=ServedModel.Kind.DETECTOR, placements__isnull=False).distinct():
        for name in map(str, model.products):
            title = found[name].title if name in found else readable_title(name)
            found[name] = Product(name, title, _classes(model), served=True)
    return sorted(found.values(), key=lambda product: product.title)


def _classes(model: ServedModel) -> tuple[ClassName, ...]:
    return tuple(
        ClassName(name, SHIPPED_TITLES.get(name) or readable_title(name)) for name in map(str, model.class_names)
    )
