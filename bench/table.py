"""Render `bench/defects.json` as Markdown, for docs/bench.md and the terminal."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from bench.famous import FAMOUS, Famous
from landmark.core.atomic import write_bytes

# docs/bench.md contains the tables between these.
MARKERS = ("<!-- bench:defects -->", "<!-- /bench:defects -->")
_Entry = Mapping[str, Any]
# docs/famous.md contains the table of `famous` between these.
FAMOUS_MARKERS = ("<!-- bench:famous -->", "<!-- /bench:famous -->")
# Shares of the planted subjects that the expected check must name; of the kinds planted into the real corpora, those it
# must find.
SUBJECTS, REAL_KINDS = 0.97, 50 / 53


def update_pages(docs: Path, result: _Entry) -> None:
    """Replace the tables of docs/bench.md and docs/famous.md."""
    for name, (start, end), table in (
        ("bench.md", MARKERS, markdown(result)),
        ("famous.md", FAMOUS_MARKERS, famous(result, FAMOUS)),
    ):
        head, rest = (docs / name).read_text(encoding="utf-8").split(start)
        _, tail = rest.split(end)
        write_bytes(docs / name, f"{head}{start}\n{table}\n{end}{tail}".encode())


def markdown(result: _Entry) -> str:
    """Render goals, operating table, checks, kinds that are not found in full, and corpora."""
    trials: list[_Entry] = [
        {**result["kinds"][trial["kind"]], **trial, "corpus": name}
        for name, corpus in result["corpora"].items()
        for trial in corpus.get("trials", ())
        if "unsuited" not in trial
    ]
    own_rate = [trial for trial in trials if "rate_pct" not in trial]
    demos = [trial for trial in own_rate if not _is_real(trial["corpus"])]
    real = [trial for trial in own_rate if _is_real(trial["corpus"])]
    parts = (
        _goals(result, demos, real),
        _rates([trial for trial in trials if "rate_pct" in trial]),
        _checks(demos),
        _missed("demos", demos),
        _missed("real corpora", real),
        _corpora(result["corpora"], own_rate),
    )
    return "\n\n".join("\n".join(lines) for part in parts if (lines := list(part)))


def _is_real(corpus: str) -> bool:
    return corpus.startswith("real-")


def _total(trials: Iterable[_Entry], key: str) -> int:
    return sum(trial[key] for trial in trials)


def _goals(result: _Entry, demos: list[_Entry], real: list[_Entry]) -> Iterator[str]:
    """Yield what the bench must reach, and what it reached."""
    names = [name for name, corpus in result["corpora"].items() if "trials" in corpus and not _is_real(name)]
    present = [corpus for corpus in result["corpora"].values() if "absent" not in corpus]
    n_findings = sum(len(finding["subjects"]) for corpus in present for finding in corpus["findings"])
    at_rates = any("rate_pct" in trial for corpus in present for trial in corpus["trials"])
    samples = f"{sum(corpus['samples'] for corpus in present):,} samples of {len(present)} corpora"
    yield (
        f"{len(result['kinds'])} kinds of defects, planted one at a time into {len(names)} demos ({', '.join(names)}),"
        f" into real corpora{' and at several rates' if at_rates else ''}:"
        f" {sum(len(corpus['trials']) for corpus in present):,} corpora checked"
        f" in {result['minutes']:g} minutes. *Independent* kinds are by an author who had not seen the checks; some of"
        " those that were missed have led to checks since."
    )
    yield ""
    yield "| | goal | measured | |"
    yield "|---|---|---|---|"
    for origin in sorted({trial["origin"] for trial in demos}, reverse=True):
        planted = [trial for trial in demos if trial["origin"] == origin]
        yield f"| {origin} kinds named by the expected check, all demos | | {_ratio(planted, 'named')} | |"
        share = _total(planted, "recalled") / max(_total(planted, "planted"), 1)
        measured = f"{share:.3f} ({_total(planted, 'recalled'):,} of {_total(planted, 'planted'):,})"
        yield f"| subjects of {origin} kinds named by it | ≥ {SUBJECTS} | {measured} | {_verdict(share >= SUBJECTS)} |"
        by_any = sum(trial.get("recalled_by_any", trial["recalled"]) for trial in planted)
        share = by_any / max(_total(planted, "planted"), 1)
        yield f"| subjects of {origin} kinds named by any check | | {share:.3f} ({by_any:,}) | |"
    share = _total(real, "named") / max(len(real), 1)
    yield f"| kinds named in real corpora | ≥ 50 of 53 | {_ratio(real, 'named')} | {_verdict(share >= REAL_KINDS)} |"
    yield f"| subjects named without defects, {samples} | 0 | {n_findings} | {_verdict(not n_findings)} |"


def _verdict(reached: bool) -> str:
    return "reached" if reached else "missed"


def _ratio(trials: list[_Entry], key: str) -> str:
    return f"{_total(trials, key):,} of {len(trials):,}"


def _rates(trials: list[_Entry]) -> Iterator[str]:
    """Yield the operating table: shares of subjects named, by the share of samples that have the defect."""
    if not trials:
        return
    groups = sorted({trial["group"] for trial in trials})
    yield f"| samples with the defect | kinds | named | subjects named | {' | '.join(groups)} |"
    yield f"|---|---|---|---|{'---|' * len(groups)}"
    for rate_pct in sorted({trial["rate_pct"] for trial in trials}):
        same = [trial for trial in trials if trial["rate_pct"] == rate_pct]
        shares = [_recalled([trial for trial in same if trial["group"] == group]) for group in groups]
        cells = [f"{rate_pct:g} %", str(len(same)), str(_total(same, "named")), _recalled(same), *shares]
        yield f"| {' | '.join(cells)} |"


def _recalled(trials: list[_Entry]) -> str:
    planted = _total(trials, "planted")
    return f"{_total(trials, 'recalled') / planted:.3f}" if planted else ""


def _checks(trials: list[_Entry]) -> Iterator[str]:
    if not trials:
        return
    yield "| group | check | kinds planted | named | subjects named |"
    yield "|---|---|---|---|---|"
    for (group, check), same in _grouped(trials, lambda trial: (trial["group"], trial["check"])):
        n_kinds = len({trial["kind"] for trial in same})
        subjects = f"{_total(same, 'recalled')} of {_total(same, 'planted')}"
        yield f"| {group} | {_check_name(check)} | {n_kinds} | {_ratio(same, 'named')} | {subjects} |"


def _grouped(trials: Iterable[_Entry], key: Callable[[_Entry], Any]) -> Iterator[tuple[Any, list[_Entry]]]:
    for value, same in groupby(sorted(trials, key=key), key=key):
        yield value, list(same)


def _missed(title: str, trials: list[_Entry]) -> Iterator[str]:
    """Yield the kinds with planted subjects that are not named."""
    short = [trial for trial in trials if trial["recalled"] < trial["planted"]]
    if short:
        yield f"| not found in full, {title} | check | subjects named | other findings |"
        yield "|---|---|---|---|"
    for kind, same in _grouped(short, lambda trial: trial["kind"]):
        planted = [trial for trial in trials if trial["kind"] == kind]
        subjects = f"{_total(planted, 'recalled')} of {_total(planted, 'planted')}"
        checks = sorted({name for trial in same for name in trial.get("other_checks", ())})
        crashed = [trial["crashed"] for trial in same if "crashed" in trial][:1]
        findings = ", ".join([*crashed, *(f"`{name}`" for name in checks)]) or "none"
        about = f"{same[0]['about']}{' (independent)' if same[0]['origin'] == 'independent' else ''}"
        yield f"| {about} | {_check_name(same[0]['check'])} | {subjects} | {findings} |"


def _check_name(check: str) -> str:
    return f"`{check}`" if check else "any"


def _corpora(corpora: _Entry, trials: list[_Entry]) -> Iterator[str]:
    """Yield the findings of the corpora without defects, and how many kinds are named in them."""
    yield "| corpus | samples | checks run | findings without defects | kinds planted | named | by any check |"
    yield "|---|---|---|---|---|---|---|"
    for name, corpus in corpora.items():
        if "absent" in corpus:
            yield f"| {name} | not measured: {corpus['absent']} | | | | | |"
            continue
        planted = [trial for trial in trials if trial["corpus"] == name]
        texts = [f"`{entry['check']}`: {entry['problem']} ({len(entry['subjects'])})" for entry in corpus["findings"]]
        n_run = corpus["checks"] - len(corpus["skipped"])
        yield (
            f"| {name} | {corpus['samples']:,} | {n_run} of {corpus['checks']} | {'; '.join(texts) or 'none'}"
            f" | {len(planted)} | {_total(planted, 'named')} | {_total(planted, 'detected')} |"
        )


def famous(result: _Entry, reports: Iterable[Famous]) -> str:
    """Render what `check` says of the defects of published corpora, in the first demo."""
    trials = {
        trial["kind"]: trial
        for trial in next(iter(result["corpora"].values()))["trials"]
        if "rate_pct" not in trial and "message" in trial
    }
    lines = ["| corpus | what users reported | planted | named by | message |", "|---|---|---|---|---|"]
    for entry in reports:
        kind = result["kinds"][entry.kind]
        message = trials.get(entry.kind, {}).get("message", "not named")
        report = f"[{entry.report}]({entry.source})"
        cells = [entry.corpus, report, kind["about"], f"`{kind['check']}`", message.replace("|", " ")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
