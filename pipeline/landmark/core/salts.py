"""Salts of every seed: constants of the format.

A seed is blake2b(recipe seed, salt, names). Changing a value changes every corpus, so these strings are never renamed,
even if the things they name are renamed.
"""

from types import MappingProxyType

# Plan.
SPLIT = "split"
CLASS_SPLIT = "class split"
CLUSTER = "cluster"
LIMIT = "limit"
ROW = "row"
SHARD = "shard"
CLASS_BALANCING = "meaning"
PREVIEW = "try"
# `around/<event>/<role>`; keys are the values of the plan's column `role`.
EVENT_SAMPLING = "around"
ROLES = MappingProxyType({"affected": "affected", "before": "before", "unaffected": "spared", "distant": "far"})

# Captions.
TEMPLATE = "template"
QUESTION = "question"
QUESTION_KIND = "kind"
ANSWER = "answer"
NEGATIVE = "lie"
NEGATIVE_KIND = "kind of lie"
NEGATIVE_SHARE = "share"

# Quality and report.
CHECKED_CELLS = "check"
CONTACT_SHEET = "sheet"
SUSPECT_IMAGES = "suspect images"
EXCHANGED_LABELS = "exchanged labels"
BOOTSTRAP_BLOCKS = "bootstrap blocks"

# Loader.
LOADER_GROUPS = "loader groups"
LOADER_ROWS = "loader rows"

# Training.
AUGMENTATION = "turn"
TORCH = "torch"
LABEL_SUBSET = "label subset"
BLOCK_NULL = "block null"
RIVAL_IMAGES = "rival images"
PROBE_IMAGES = "probe images"

# Loader.
CAPTION_CHOICE = "caption"
