"""Label maps no catalogue serves: ordered from their service, or scripted for where they are computed."""

from landmark.labels.earthengine import export_script
from landmark.labels.fetch import fetch
from landmark.labels.profile import Download, Key, read_key

__all__ = ["Download", "Key", "export_script", "fetch", "read_key"]
