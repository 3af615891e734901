"""Defects by an author who had not seen the checks: every module here registers its kinds as `independent`."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
