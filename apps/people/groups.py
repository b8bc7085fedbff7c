"""The six groups and what each may do: one table, also shown in docs/permissions.md.

Codenames of upper apps stand here as text, since this app may not import them; `sync_groups` refuses an
unknown one, and so does a test.
"""

from __future__ import annotations

from itertools import product

VIEW = [
    "people.view_user",
    "auth.view_group",
    "policies.view_policypack",
    "policies.view_policyversion",
    "catalog.view_team",
    "catalog.view_membership",
    "catalog.view_environment",
    "catalog.view_service",
    "catalog.view_dependency",
    "catalog.view_change",
    "messaging.view_message",
    "oncall.view_rotation",
    "oncall.view_layer",
    "oncall.view_rotationmember",
    "oncall.view_pause",
    "oncall.view_holidaycalendar",
    "oncall.view_override",
    "oncall.view_coverage",
    "oncall.view_swap",
    "oncall.view_rolebinding",
    "paging.view_escalationrun",
    "paging.view_page",
    "paging.view_acknowledgement",
    "paging.view_maintenancewindow",
    "incidents.view_incident",
    "incidents.view_roleassignment",
    "incidents.view_timelineentry",
    "incidents.view_milestone",
    "alerts.view_integration",
    "alerts.view_alert",
    "alerts.view_alertgroup",
    "approvals.view_approvalrequest",
    "flags.view_flag",
    "flags.view_segment",
    "flags.view_flagchange",
    "flags.view_experiment",
    "state.view_configdocument",
    "state.view_configversion",
    "state.view_entitysource",
    "state.view_snapshot",
    "state.view_snapshotdiff",
    "state.view_entityrestore",
    "runbooks.view_runbook",
    "runbooks.view_runbookversion",
    "runbooks.view_dryrun",
    "runbooks.view_execution",
    "runbooks.view_mitigation",
    "postmortems.view_review",
    "postmortems.view_actionitem",
]

RESPOND = [
    "incidents.declare_incident",
    "incidents.respond_incident",
    "oncall.add_override",
    "oncall.change_override",
    "oncall.add_coverage",
    "oncall.change_coverage",
    "oncall.add_swap",
    "oncall.change_swap",
    "catalog.add_change",
    "flags.record_exposure",
    "alerts.view_receipt",
    "alerts.retry_receipt",
    "runbooks.dry_run_runbook",
    "postmortems.write_review",
]

COMMAND = [
    "incidents.command_incident",
    "messaging.replay_message",
    "runbooks.execute_runbook",
    "runbooks.use_mitigation",
    "flags.kill_flag",
    "approvals.bypass_approvalrequest",
]


def _all_of(app: str, models: list[str], ways: tuple[str, ...] = ("add", "change", "delete")) -> list[str]:
    return [f"{app}.{way}_{model}" for model, way in product(models, ways)]


MANAGE = [
    *_all_of("catalog", ["team", "membership", "environment", "service", "dependency"]),
    *_all_of(
        "catalog",
        ["teamuserpermission", "teamgrouppermission", "serviceuserpermission", "servicegrouppermission"],
        ("view", "add", "change", "delete"),
    ),
    *_all_of(
        "oncall",
        [
            "rotation",
            "layer",
            "rotationmember",
            "pause",
            "holidaycalendar",
            "override",
            "coverage",
            "swap",
            "rolebinding",
        ],
    ),
    *_all_of("paging", ["maintenancewindow"], ("add", "change")),
    *_all_of("paging", ["notificationpreference"], ("view", "change")),
    "paging.view_pagebundle",
    *_all_of("policies", ["policypack"], ("add", "change")),
    *_all_of("policies", ["policyversion"], ("add",)),
    *_all_of("alerts", ["integration"], ("add", "change")),
    *_all_of("messaging", ["webhookendpoint", "connection", "destination"], ("view", "add", "change", "delete")),
    "messaging.replay_message",
    "people.view_contactpoint",
    "people.manage_service_accounts",
    "approvals.decide_approvalrequest",
    *_all_of("flags", ["flag"], ("add", "change")),
    *_all_of("flags", ["segment"]),
    "flags.kill_flag",
    *_all_of("flags", ["flaguserpermission", "flaggrouppermission"], ("view", "add", "change", "delete")),
    *_all_of("state", ["configdocument"], ("add", "change", "apply", "set_baseline")),
    *_all_of("state", ["entitysource"], ("add", "change", "snapshot", "restore")),
    *_all_of("runbooks", ["runbook", "runbookversion", "mitigation", "secret"], ("view", "add", "change")),
    *_all_of("runbooks", ["mitigation", "secret"], ("delete",)),
    *_all_of(
        "runbooks",
        [
            "runbookuserpermission",
            "runbookgrouppermission",
            "mitigationuserpermission",
            "mitigationgrouppermission",
        ],
        ("view", "add", "change", "delete"),
    ),
    "runbooks.execute_runbook",
    "runbooks.use_mitigation",
    "postmortems.review_review",
]

APPROVE = [
    "approvals.decide_approvalrequest",
    "runbooks.dry_run_runbook",
]

AUDIT = [
    "incidents.view_private_incident",
    *_all_of("incidents", ["incidentuserpermission", "incidentgrouppermission"], ("view",)),
    "people.view_contactpoint",
    "people.view_apitoken",
    *_all_of(
        "catalog",
        ["teamuserpermission", "teamgrouppermission", "serviceuserpermission", "servicegrouppermission"],
        ("view",),
    ),
    *_all_of("messaging", ["webhookendpoint", "connection", "destination"], ("view",)),
    "messaging.view_attempt",
    "alerts.view_receipt",
    *_all_of("engine", ["event", "delivery", "timer", "pulse"], ("view",)),
    *_all_of("people", ["historicaluser", "historicalcontactpoint", "historicalapitoken"], ("view",)),
    *_all_of("policies", ["historicalpolicypack"], ("view",)),
    *_all_of("paging", ["historicalmaintenancewindow", "historicalnotificationpreference"], ("view",)),
    *_all_of("paging", ["notificationpreference", "pagebundle"], ("view",)),
    *_all_of(
        "catalog",
        [
            "historicalteam",
            "historicalmembership",
            "historicalenvironment",
            "historicalservice",
            "historicaldependency",
        ],
        ("view",),
    ),
    *_all_of("messaging", ["historicalwebhookendpoint", "historicalconnection", "historicaldestination"], ("view",)),
    *_all_of(
        "oncall",
        [
            "historicalrotation",
            "historicallayer",
            "historicalrotationmember",
            "historicalpause",
            "historicalholidaycalendar",
            "historicaloverride",
            "historicalcoverage",
            "historicalswap",
            "historicalrolebinding",
        ],
        ("view",),
    ),
    *_all_of("incidents", ["historicalincident", "historicalroleassignment", "historicalmilestone"], ("view",)),
    *_all_of("alerts", ["historicalintegration"], ("view",)),
    *_all_of("approvals", ["historicalapprovalrequest"], ("view",)),
    *_all_of("flags", ["flaguserpermission", "flaggrouppermission", "historicalflag", "historicalsegment"], ("view",)),
    *_all_of("state", ["historicalconfigdocument", "historicalentitysource", "historicalentityrestore"], ("view",)),
    *_all_of(
        "runbooks",
        [
            "secret",
            "runbookuserpermission",
            "runbookgrouppermission",
            "mitigationuserpermission",
            "mitigationgrouppermission",
            "historicalrunbook",
            "historicalexecution",
            "historicalmitigation",
            "historicalsecret",
        ],
        ("view",),
    ),
    *_all_of("postmortems", ["historicalreview", "historicalsection", "historicalactionitem"], ("view",)),
]

GROUP_PERMISSIONS: dict[str, list[str]] = {
    "viewer": VIEW,
    "responder": [*VIEW, *RESPOND],
    "commander": [*VIEW, *RESPOND, *COMMAND],
    "manager": [*VIEW, *RESPOND, *MANAGE],
    "approver": [*VIEW, *APPROVE],
    "auditor": [*VIEW, *AUDIT],
}
