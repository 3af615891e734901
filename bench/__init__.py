"""How well `landmark check` finds what goes wrong with corpora: defects planted one by one, and real corpora."""
