"""Forms of the plain pages: what a station does, and a new line. They translate; services decide."""

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms

from inspections.models import BitDepth, DefectClass, Line, Site, Station
from inspections.services.products import Product
from inspections.services.vocabulary import ClassName

NOBODY, ANOTHER = "", "*"
PRODUCT_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*\Z"
ODD_PRODUCT = "Use letters, digits, '-', '_' and '.', beginning with a letter or a digit."
BIT_DEPTHS = (
    (BitDepth.AUTO, "Tell by the picture"),
    (BitDepth.BITS_8, "8 bits"),
    (BitDepth.BITS_10, "10 of 16 bits"),
    (BitDepth.BITS_12, "12 of 16 bits"),
    (BitDepth.BITS_14, "14 of 16 bits"),
    (BitDepth.BITS_16, "16 bits"),
)


class PlainForm(forms.Form):
    """Fields look like those of the other pages, and each says what is wrong with it where it stands."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.error_messages["required"] = "Fill this in."
            self._dress(field)

    def _dress(self, field: forms.Field) -> None:
        widget = field.widget
        if isinstance(widget, forms.Select) and not isinstance(widget, forms.RadioSelect):
            widget.attrs.setdefault("class", "select")
        elif not isinstance(widget, forms.CheckboxInput | forms.RadioSelect):
            widget.attrs.setdefault("class", "input")

    def full_clean(self) -> None:
        super().full_clean()
        for name in self.errors:
            if name in self.fields:
                attrs = {"aria-invalid": "true", "aria-describedby": f"{self[name].id_for_label}_error"}
                self.fields[name].widget.attrs.update(attrs)


class ProductForm(PlainForm):
    """What a station looks at: a product that models here declare, another one by its name, or nothing yet."""

    product = forms.ChoiceField(label="What does this camera look at?", required=False, widget=forms.RadioSelect)
    other_product = forms.CharField(label="Its name, as the model calls it", max_length=40, required=False)
    bit_depth = forms.ChoiceField(label="Bit depth of the camera", choices=BIT_DEPTHS, initial=BitDepth.AUTO)

    def __init__(self, *args: Any, products: Iterable[Product], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = [(one.name, one.title if one.served else f"{one.title} (no node serves it now)") for one in products]
        field = self.fields["product"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [*known, (NOBODY, "Nobody has chosen yet: hold every frame"), (ANOTHER, "Another product")]

    def clean_other_product(self) -> str:
        name = str(self.cleaned_data["other_product"]).strip()
        if name:
            forms.RegexField(PRODUCT_PATTERN, error_messages={"invalid": ODD_PRODUCT}).clean(name)
        return name

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("product") == ANOTHER and "other_product" not in self.errors:
            if not cleaned.get("other_product"):
                self.add_error("other_product", "Write the product's name, or choose one above.")
            cleaned["product"] = cleaned.get("other_product", "")
        return cleaned

    @staticmethod
    def initial_of(product: str, products: Iterable[Product]) -> dict[str, str]:
        known = product == NOBODY or any(one.name == product for one in products)
        return {"product": product} if known else {"product": ANOTHER, "other_product": product}


class NewStationForm(ProductForm):
    name = forms.CharField(label="Name of the station", max_length=100)

    field_order = ["name"]


class StationForm(ProductForm):
    """All settings of a station. Scores are percent here, and the deadline seconds, as everywhere on the screen."""

    deadline_s = forms.DecimalField(
        label="Deadline, in seconds",
        min_value=0.1,
        max_value=3600,
        decimal_places=3,
        help_text="A frame without a decision after this long is held.",
    )
    min_score = forms.DecimalField(
        label="Threshold of every class, in %",
        min_value=0,
        max_value=100,
        decimal_places=1,
        help_text="A region counts as a defect from this score on, unless its class has a threshold of its own.",
    )
    describe = forms.BooleanField(label="Have defects described", required=False)
    max_regions = forms.IntegerField(label="Regions described in one frame, at most", min_value=1, max_value=64)
    describe_within_s = forms.DecimalField(
        label="Descriptions are wanted within, in seconds",
        min_value=0.1,
        max_value=86_400,
        decimal_places=3,
        help_text="After the decision. Later ones wait until the cloud has room.",
    )
    sure_regions = forms.ChoiceField(
        label="Defects that the edge is sure of are",
        choices=Station.SureRegions.choices,
        help_text="Sure is what your reviews prove: at most 1 in 100 wrong. A few are described all the same.",
    )
    ladder = forms.BooleanField(
        label="Send pictures in lower quality where a link is too slow for the deadline",
        required=False,
        help_text="As JPEG 75 or 50. The frame says so.",
    )
    admission = forms.BooleanField(
        label="Refuse frames that would be decided after their deadline",
        required=False,
        help_text="The sender hears 429 and when to come again; nothing is lost that was accepted.",
    )

    def __init__(self, *args: Any, station: Station, classes: Iterable[DefectClass], **kwargs: Any) -> None:
        products: list[Product] = list(kwargs.pop("products"))
        self.classes = list(classes)
        initial = _settings_of(station) | self.initial_of(station.product, products)
        super().__init__(*args, products=products, initial=initial, **kwargs)
        own = dict(station.thresholds.values_list("defect_class_id", "min_score"))
        for entry in self.classes:
            field = forms.DecimalField(
                label=f"{entry}, in %", min_value=0, max_value=100, decimal_places=1, required=False
            )
            self._dress(field)
            self.fields[_threshold(entry)] = field
            if entry.pk in own:
                self.initial[_threshold(entry)] = _percent(own[entry.pk])

    @property
    def threshold_fields(self) -> list[forms.BoundField]:
        return [self[_threshold(entry)] for entry in self.classes]

    @property
    def changes(self) -> dict[str, Any]:
        """The settings in the units of the service."""
        said = self.cleaned_data
        plain = {
            name: said[name]
            for name in ("product", "bit_depth", "describe", "max_regions", "sure_regions", "ladder", "admission")
        }
        times = {"deadline_ms": said["deadline_s"], "describe_within_ms": said["describe_within_s"]}
        in_ms = {name: int(seconds * 1000) for name, seconds in times.items()}
        return plain | in_ms | {"min_score": float(said["min_score"]) / 100}

    @property
    def thresholds(self) -> dict[int, float]:
        typed = {entry.pk: self.cleaned_data[_threshold(entry)] for entry in self.classes}
        return {pk: float(percent) / 100 for pk, percent in typed.items() if percent is not None}


def _threshold(entry: DefectClass) -> str:
    return f"threshold_{entry.pk}"


def _percent(score: float) -> float:
    return round(score * 100, 1)


def _settings_of(station: Station) -> dict[str, Any]:
    return {
        "bit_depth": station.bit_depth,
        "deadline_s": station.deadline_ms / 1000,
        "min_score": _percent(station.min_score),
        "describe": station.describe,
        "max_regions": station.max_regions,
        "describe_within_s": station.describe_within_ms / 1000,
        "sure_regions": station.sure_regions,
        "ladder": station.ladder,
        "admission": station.admission,
    }


class NewLineForm(ProductForm):
    """A line, where its classes come from, and its first station."""

    OF_PRODUCT, OF_LINE, TYPED = "product", "line", "typed"

    site = forms.CharField(label="Plant", max_length=100)
    name = forms.CharField(label="Name of the line", max_length=100)
    source = forms.ChoiceField(
        label="Which defects are looked for?",
        widget=forms.RadioSelect,
        initial=OF_PRODUCT,
        choices=(
            (OF_PRODUCT, "Those that a model here was trained for"),
            (OF_LINE, "The same as on another line"),
            (TYPED, "I type them"),
        ),
    )
    classes_of_product = forms.ChoiceField(label="Trained for", required=False)
    classes_of_line = forms.ModelChoiceField(
        label="The other line", queryset=Line.objects.none(), required=False, empty_label="Choose a line"
    )
    classes = forms.CharField(
        label="Defect classes, one in each line",
        required=False,
        widget=forms.Textarea(attrs={"rows": 6, "placeholder": "pin-hole\ncu = Spurious copper"}),
        help_text="As the model names them; after '=', if you like, as people read them.",
    )
    station = forms.CharField(label="Name of its first station", max_length=100, initial="Camera 1")

    field_order = ["site", "name"]

    def __init__(self, *args: Any, products: Iterable[Product], lines: Any, **kwargs: Any) -> None:
        self.products = {one.name: one for one in products}
        super().__init__(*args, products=self.products.values(), **kwargs)
        self.sites = list(Site.objects.values_list("name", flat=True))
        self.fields["site"].widget.attrs["list"] = "sites"
        of_product, of_line = self.fields["classes_of_product"], self.fields["classes_of_line"]
        assert isinstance(of_product, forms.ChoiceField)
        assert isinstance(of_line, forms.ModelChoiceField)
        of_product.choices = [(one.name, one.title) for one in self.products.values()]
        of_line.queryset = lines

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if cleaned.get("source") == self.OF_LINE and not cleaned.get("classes_of_line"):
            self.add_error("classes_of_line", "Choose the line whose classes it gets.")
        if cleaned.get("source") == self.TYPED and not typed_classes(cleaned.get("classes", "")):
            self.add_error("classes", "Write at least one class.")
        return cleaned


def typed_classes(text: str) -> list[ClassName]:
    """`name` or `name = Title` on each line of `text`."""
    pairs = [line.partition("=") for line in text.splitlines() if line.strip()]
    return [ClassName(name.strip(), title.strip()) for name, _, title in pairs]


def chosen_classes(said: Mapping[str, Any], products: Mapping[str, Product]) -> list[ClassName] | Line:
    """What was chosen for a new line: its classes, or the line whose classes it gets."""
    if said["source"] == NewLineForm.OF_LINE:
        line: Line = said["classes_of_line"]
        return line
    if said["source"] == NewLineForm.OF_PRODUCT:
        return list(products[said["classes_of_product"]].classes)
    return typed_classes(said["classes"])
