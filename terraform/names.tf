# Every name, once. Bucket names are global, so that the project's id stands before them; Google advises against _ in them.
locals {
  labels = { app = "brigade" }

  input_bucket  = "${var.project_id}-ml-input"
  output_bucket = "${var.project_id}-ml-output"
  code_bucket   = "${var.project_id}-ml-code"
  temp_bucket   = "${var.project_id}-ml-temp"
  logs_bucket   = "${var.project_id}-ml-logs"

  models_uri = "gs://${local.output_bucket}/output/"

  landing_job   = "brigade-landing" # the Dataflow job, which `make gcp-landing` starts
  template_name = "brigade-retrain"
  template      = "projects/${var.project_id}/regions/${var.region}/workflowTemplates/${local.template_name}"

  pubsub_agent       = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
  notification_agent = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-monitoring-notification.iam.gserviceaccount.com"
}
