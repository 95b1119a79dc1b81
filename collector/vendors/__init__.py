"""The vendors' adapters, by name."""

from collector.vendors.alphavantage import AlphaVantage
from collector.vendors.base import Vendor
from collector.vendors.polygon import Polygon
from collector.vendors.twelvedata import TwelveData
from collector.vendors.yahoo import Yahoo

_ALL: tuple[Vendor, ...] = (Yahoo(), AlphaVantage(), TwelveData(), Polygon())

VENDORS: dict[str, Vendor] = {vendor.name: vendor for vendor in _ALL}
