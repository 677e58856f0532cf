"""What whoever runs Terraform has to be allowed to do, by the kinds of resources in terraform/*.tf.

Creating is asked for, and setting a policy where there are grants: who may create a thing in a project, by any of
Google's own roles, may also read, change and delete it. https://cloud.google.com/iam/docs/permissions-reference
What is in a bucket is not asked for: even roles/owner has no such permission on a project. It comes with each bucket,
to the project's owners and editors (roles/storage.legacyBucketOwner), when the bucket is created.
"""

import re
from pathlib import Path

BY_RESOURCE = {
    "google_artifact_registry_repository": ["artifactregistry.repositories.create"],
    "google_artifact_registry_repository_iam_member": ["artifactregistry.repositories.setIamPolicy"],
    "google_cloud_run_v2_service_iam_member": ["run.services.setIamPolicy"],
    "google_cloud_scheduler_job": ["cloudscheduler.jobs.create"],
    "google_cloudfunctions2_function": ["cloudfunctions.functions.create", "iam.serviceAccounts.actAs"],
    "google_compute_firewall": ["compute.firewalls.create"],
    "google_compute_network": ["compute.networks.create"],
    "google_compute_router": ["compute.routers.create"],
    "google_compute_router_nat": ["compute.routers.update"],
    "google_compute_subnetwork": ["compute.subnetworks.create"],
    "google_dataproc_workflow_template": ["dataproc.workflowTemplates.create"],
    "google_logging_metric": ["logging.logMetrics.create"],
    "google_logging_project_sink": ["logging.sinks.create"],
    "google_monitoring_alert_policy": ["monitoring.alertPolicies.create"],
    "google_monitoring_dashboard": ["monitoring.dashboards.create"],
    "google_monitoring_notification_channel": ["monitoring.notificationChannels.create"],
    "google_project_iam_custom_role": ["iam.roles.create"],
    "google_project_iam_member": ["resourcemanager.projects.setIamPolicy"],
    "google_project_service": ["serviceusage.services.enable"],
    "google_pubsub_subscription": ["pubsub.subscriptions.create"],
    "google_pubsub_subscription_iam_member": ["pubsub.subscriptions.setIamPolicy"],
    "google_pubsub_topic": ["pubsub.topics.create"],
    "google_pubsub_topic_iam_member": ["pubsub.topics.setIamPolicy"],
    "google_service_account": ["iam.serviceAccounts.create"],
    "google_service_account_iam_member": ["iam.serviceAccounts.setIamPolicy"],
    "google_storage_bucket": ["storage.buckets.create"],
    "google_storage_bucket_iam_member": [],
    "google_storage_bucket_object": [],
}
# What `make gcp-landing`, `gcp-demo` and `gcp-down` do themselves.
OF_THE_COMMANDS = [
    "cloudscheduler.jobs.run",
    "dataflow.jobs.cancel",  # draining is asked for with it
    "dataflow.jobs.create",
    "pubsub.topics.publish",
    "pubsub.subscriptions.consume",
]


def kinds(folder: Path) -> set[str]:
    """The resource types in the folder's files."""
    found = (re.findall(r'^resource "(\w+)"', file.read_text("utf-8"), re.M) for file in folder.glob("*.tf"))
    return {kind for kinds_of_file in found for kind in kinds_of_file}


def needed(folder: Path) -> list[str]:
    """The permissions for what the folder's files create, and for this room's commands."""
    found = {permission for kind in kinds(folder) for permission in BY_RESOURCE.get(kind, [])}
    return sorted(found | set(OF_THE_COMMANDS))
