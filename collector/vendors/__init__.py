"""The vendors' adapters, by name."""

from collections.abc import Mapping

from collector.vendors.alphavantage import AlphaVantage
from collector.vendors.base import Vendor
from collector.vendors.polygon import Polygon
from collector.vendors.polygon.stream import PolygonStream
from collector.vendors.stream import StreamVendor
from collector.vendors.twelvedata import TwelveData
from collector.vendors.twelvedata.stream import TwelveDataStream
from collector.vendors.yahoo import Yahoo
from collector.vendors.yahoo.stream import YahooStream

_ALL: tuple[Vendor, ...] = (Yahoo(), AlphaVantage(), TwelveData(), Polygon())
_PUSHING: tuple[StreamVendor, ...] = (YahooStream(), TwelveDataStream(), PolygonStream())

VENDORS: dict[str, Vendor] = {vendor.name: vendor for vendor in _ALL}
STREAMS: Mapping[str, StreamVendor] = {vendor.name: vendor for vendor in _PUSHING}
"""The push sides of those that have one."""
