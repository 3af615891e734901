"""A report as JUnit XML, which CI systems show beside the tests."""

from xml.etree import ElementTree

from landmark.quality.check_profile import Rules
from landmark.quality.findings import SEVERITIES, Finding, Report, Severity, Verdict

_SHOWN = 20


def junit(report: Report, rules: Rules, *, fail_on: Severity) -> str:
    """One test case a check: failed by findings at least as severe as `fail_on`, skipped where nothing was to judge."""
    root = ElementTree.Element("testsuites")
    counting = SEVERITIES[: SEVERITIES.index(fail_on) + 1]
    for group in dict.fromkeys(rule.group for rule in rules.checks.values()):
        names = [name for name in report.checks if rules.checks[name].group == group]
        if not names:
            continue
        failed = [name for name in names if any(one.severity in counting for one in report.checks[name].findings)]
        skipped = [name for name in names if report.checks[name].skipped]
        counts = {"tests": len(names), "failures": len(failed), "skipped": len(skipped), "errors": 0}
        said = {"name": f"landmark check {report.corpus}: {group}"} | {key: str(n) for key, n in counts.items()}
        suite = ElementTree.SubElement(root, "testsuite", said)
        for name in names:
            _case(suite, group, name, report.checks[name], failed=name in failed)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _case(suite: ElementTree.Element, group: str, name: str, verdict: Verdict, *, failed: bool) -> None:
    case = ElementTree.SubElement(suite, "testcase", classname=f"landmark.{group}", name=name, time="0")
    if verdict.skipped:
        ElementTree.SubElement(case, "skipped", message=verdict.skipped)
    text = "\n".join(_lines(one) for one in verdict.findings)
    if failed:
        failure = ElementTree.SubElement(case, "failure", type=verdict.severity, message=verdict.findings[0].what)
        failure.text = f"{text}\n{verdict.remedy}"
    elif text:
        ElementTree.SubElement(case, "system-out").text = text


def _lines(finding: Finding) -> str:
    shown = [f"  {subject}: {seen}" for subject, seen in list(finding.subjects.items())[:_SHOWN]]
    more = len(finding.subjects) - len(shown)
    return "\n".join([f"{finding.what} ({len(finding.subjects)})", *shown, *([f"  and {more} more"] if more else [])])
