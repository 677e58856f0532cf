# Every name, once. Bucket names are global, so that the project's id stands before them; Google advises against _ in them.
# A second pipeline of the project has a prefix before all its names, and a state of its own; the first one has none.
locals {
  labels = { app = "brigade" }

  prefix     = var.prefix == "" ? "" : "${var.prefix}-"
  underscore = replace(local.prefix, "-", "_") # where a name has no hyphens
  title      = var.prefix == "" ? "Brigade" : "Brigade ${var.prefix}"
  settings   = join(" PREFIX=", compact(["PROJECT=${var.project_id}", var.prefix])) # of `make gcp-…`

  input_bucket  = "${var.project_id}-${local.prefix}ml-input"
  output_bucket = "${var.project_id}-${local.prefix}ml-output"
  code_bucket   = "${var.project_id}-${local.prefix}ml-code"
  temp_bucket   = "${var.project_id}-${local.prefix}ml-temp"
  logs_bucket   = "${var.project_id}-${local.prefix}ml-logs"

  cluster_name = "${local.prefix}${local.workflows.retrain.placement.managedCluster.clusterName}" # its beginning; the monitoring's begins so too

  # A model's name begins as the definition says, which Terraform reads if it is in this folder.
  is_uri       = startswith(var.pipeline, "gs://")
  definitions  = [for file in fileset("${path.module}/../pipelines", "*.yaml") : trimsuffix(file, ".yaml")]
  said_prefix  = try(yamldecode(file("${path.module}/../pipelines/${var.pipeline}.yaml")).model_prefix, null)
  model_prefix = try(coalesce(local.said_prefix, var.model_prefix), "")

  models_uri = "gs://${local.output_bucket}/output/"

  landing_job   = "${local.prefix}brigade-landing" # the Dataflow job, which `make gcp-landing` starts
  template_name = "${local.prefix}brigade-retrain"
  template      = "projects/${var.project_id}/regions/${var.region}/workflowTemplates/${local.template_name}"

  monitor_name     = "${local.prefix}brigade-monitor"
  monitor_template = "projects/${var.project_id}/regions/${var.region}/workflowTemplates/${local.monitor_name}"
  findings_uri     = "gs://${local.output_bucket}/monitor/" # into which monitor.py writes

  pubsub_agent       = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
  notification_agent = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-monitoring-notification.iam.gserviceaccount.com"
}
