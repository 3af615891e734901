"""JUnit XML of a report, for CI systems."""

from xml.etree import ElementTree

from landmark.core.printable import printable
from landmark.quality.check_profile import CheckProfile
from landmark.quality.findings import SEVERITIES, CheckResult, Finding, Report, Severity

_MAX_SUBJECTS = 20


def to_junit(report: Report, profile: CheckProfile, *, fail_on: Severity) -> str:
    """One test case per check: a failure for findings of at least `fail_on`, skipped where not applicable."""
    root = ElementTree.Element("testsuites")
    failing = SEVERITIES[: SEVERITIES.index(fail_on) + 1]
    for group in dict.fromkeys(spec.group for spec in profile.checks.values()):
        results = {name: result for name, result in report.checks.items() if profile.checks[name].group == group}
        if not results:
            continue
        failed = {name for name, result in results.items() if any(f.severity in failing for f in result.findings)}
        skipped = sum(result.skipped is not None for result in results.values())
        counts = {"tests": len(results), "failures": len(failed), "skipped": skipped, "errors": 0}
        attributes = {"name": f"landmark check {report.corpus}: {group}"}
        attributes |= {name: str(count) for name, count in counts.items()}
        suite = ElementTree.SubElement(root, "testsuite", attributes)
        for name, result in results.items():
            case = ElementTree.SubElement(suite, "testcase", classname=f"landmark.{group}", name=name, time="0")
            _fill_case(case, result, failed=name in failed)
    ElementTree.indent(root)
    text = printable(ElementTree.tostring(root, encoding="unicode"))
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _fill_case(case: ElementTree.Element, result: CheckResult, *, failed: bool) -> None:
    if result.skipped:
        ElementTree.SubElement(case, "skipped", message=result.skipped)
    text = "\n".join(_format_finding(finding) for finding in result.findings)
    if failed:
        failure = ElementTree.SubElement(case, "failure", type=result.severity, message=result.findings[0].problem)
        failure.text = f"{text}\n{result.remedy}"
    elif text:
        ElementTree.SubElement(case, "system-out").text = text


def _format_finding(finding: Finding) -> str:
    lines = [f"{finding.problem} ({len(finding.subjects)})"]
    lines += [f"  {subject}: {detail}" for subject, detail in list(finding.subjects.items())[:_MAX_SUBJECTS]]
    if (more := len(finding.subjects) - _MAX_SUBJECTS) > 0:
        lines.append(f"  and {more} more")
    return "\n".join(lines)
