"""What stations can look at: the products that served models were trained for, with their defect classes."""

from dataclasses import dataclass

from scheduling.models import ServedModel
from scheduling.serving.contracts import SHIPPED_CLASSES, SHIPPED_PRODUCT

from .vocabulary import ClassName, readable_title


@dataclass(frozen=True)
class Product:
    """`name` as models and stations write it, `title` as people read it."""

    name: str
    title: str
    classes: tuple[ClassName, ...]
    served: bool  # whether a model that is on a node now was trained for it


def known() -> list[Product]:
    """The shipped models' product, and what each detector that stands on a node declares."""
    shipped = tuple(ClassName(name, title) for name, title in SHIPPED_CLASSES.items())
    found = {SHIPPED_PRODUCT: Product(SHIPPED_PRODUCT, "Bare circuit boards", shipped, served=False)}
    for model in ServedModel.objects.filter(kind=ServedModel.Kind.DETECTOR, placements__isnull=False).distinct():
        for name in map(str, model.products):
            title = found[name].title if name in found else readable_title(name)
            found[name] = Product(name, title, _classes(model), served=True)
    return sorted(found.values(), key=lambda product: product.title)


def _classes(model: ServedModel) -> tuple[ClassName, ...]:
    return tuple(
        ClassName(name, SHIPPED_CLASSES.get(name) or readable_title(name)) for name in map(str, model.class_names)
    )
