"""What is reported of a video's readings: names, units, and how a number is written."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from types import MappingProxyType

from .statistics import Estimate, Values, mean_of, share_of


@dataclass(frozen=True)
class Quantity:
    """A column of `measure.Reading`. about: in one line. share: it counts yes and no, and is written in percent.
    from_zero: 0 means none of it."""

    name: str
    title: str
    about: str
    share: bool = False
    digits: int = 2
    from_zero: bool = True

    def estimate(self, values: Values) -> Estimate:
        """Mean and interval of this quantity over videos."""
        return share_of(values) if self.share else mean_of(values)

    def write(self, value: float) -> str:
        """`83 %` or `0.031`; a dash for nothing."""
        if isnan(value):
            return "–"
        return f"{100 * value:.0f} %" if self.share else f"{value:.{self.digits}f}"

    def write_estimate(self, found: Estimate) -> str:
        """`83 % (71 to 91)`."""
        return self.write(found.mean) + self._interval(found, "")

    def write_difference(self, found: Estimate) -> str:
        """`+12 points (+3 to +21)`."""
        if isnan(found.mean):
            return "–"
        unit = " points" if self.share else ""
        return self._plain(found.mean, "+") + unit + self._interval(found, "+")

    def _interval(self, found: Estimate, sign: str) -> str:
        low, high = self._plain(found.low, sign), self._plain(found.high, sign)
        return "" if isnan(found.low) or low == high else f" ({low} to {high})"

    def _plain(self, value: float, sign: str) -> str:
        text = f"{100 * value:{sign}.0f}" if self.share else f"{value:{sign}.{self.digits}f}"
        zero = not any(digit in text for digit in "123456789")
        return text.lstrip("+-") if zero else text.replace("-", "−")


def _attribute(name: str, title: str) -> Quantity:
    what = title.removesuffix(" retention")
    return Quantity(name, title, f"videos whose {what} is read as the prompt says", share=True)


def _ratio(name: str, title: str, about: str, digits: int) -> Quantity:
    return Quantity(name, title, about, digits=digits, from_zero=False)


QUANTITIES = MappingProxyType(
    {
        quantity.name: quantity
        for quantity in (
            _attribute("subject", "subject retention"),
            _attribute("colour", "colour retention"),
            _attribute("place", "place retention"),
            _attribute("time", "time of day retention"),
            Quantity("colour_drift", "colour drift", "how far hues have moved since the first 5 s, 0 to 1", digits=3),
            Quantity("scenery", "scenery kept", "likeness of what stands still to the first 5 s; 1: as it was"),
            Quantity("roll_backs", "roll-backs", "how often the picture went back to the old prompt's scene", digits=1),
            Quantity("old_scene", "way back", "how far it went at the most: 0 the new prompt's scene, 1 the old one's"),
            *(
                Quantity(f"new_{name}", f"new {title}", f"share of the time since the change with the new {title}")
                for name, title in (("subject", "subject"), ("colour", "colour"), ("place", "place"), ("time", "light"))
            ),
            Quantity("second_scene", "second scene kept", "likeness of what stands still to the new scene's own start"),
            Quantity("shade", "same shade", "the subject's shade against the first 5 s; 1: the same, 0: another's"),
            Quantity("returns", "returns", "how often the subject has left the frame and come back", digits=1),
            Quantity("seen", "beginning seen", "how well the first 2 s are found again, by the best sideways match"),
            Quantity("sharpness", "sharpness", "spread of the brightness's Laplacian; 0 is flat", digits=4),
            Quantity("dynamic_degree", "dynamic degree", "mean change from frame to frame, in 255ths; 0 is frozen"),
            _ratio("chunk_jump", "chunk jump", "change at chunk borders over that inside; 1: none", 3),
            _ratio("sink_reset", "sink reset", "likeness of the closest frame to the sink; 1: a sink frame again", 2),
        )
    }
)
